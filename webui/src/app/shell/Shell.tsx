import { AppShell, Burger, Group } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { Link, Outlet, useLocation } from '@tanstack/react-router';
import { useEffect } from 'react';
import { SessionEnding } from '../../features/session/SessionEnding';
import { SignInAgain } from '../../features/session/SignInAgain';
import { text } from '../text';
import { Brand } from './Brand';
import { LinkBanner, LinkState } from './LinkState';
import { Palette, PaletteButton } from './Palette';
import { Rail } from './Rail';
import { SchemeMenu } from './SchemeMenu';
import { UserMenu } from './UserMenu';

/** What stands around every page: the rail, the bar, and what concerns the session. */
export function Shell() {
  const [isOpen, { toggle, close }] = useDisclosure(false);
  const { pathname } = useLocation();
  // biome-ignore lint/correctness/useExhaustiveDependencies: a page was chosen
  useEffect(close, [pathname]);
  return (
    <AppShell
      header={{ height: 48 }}
      navbar={{ width: 208, breakpoint: 'sm', collapsed: { mobile: !isOpen } }}
      padding={0}
    >
      <a href="#page" className="skip">
        {text.skip}
      </a>
      <AppShell.Header>
        <Group h="100%" px="sm" gap="sm" wrap="nowrap" justify="space-between">
          <Group gap="xs" wrap="nowrap">
            <Burger
              opened={isOpen}
              onClick={toggle}
              hiddenFrom="sm"
              size="sm"
              aria-label={isOpen ? text.closeRail : text.openRail}
              aria-expanded={isOpen}
            />
            <Link to="/" aria-label={text.product} style={{ textDecoration: 'none' }}>
              <Brand />
            </Link>
          </Group>
          <PaletteButton />
          <Group gap={6} wrap="nowrap">
            <LinkState />
            <SchemeMenu />
            <UserMenu />
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p="xs" aria-label={text.rail}>
        <Rail />
      </AppShell.Navbar>
      <AppShell.Main id="page" tabIndex={-1} bg="var(--hub-ground)" style={{ outline: 'none' }}>
        <LinkBanner />
        <Outlet />
      </AppShell.Main>
      <Palette />
      <SignInAgain />
      <SessionEnding />
    </AppShell>
  );
}
