import { NavLink, ScrollArea, Text } from '@mantine/core';
import { Link, useLocation } from '@tanstack/react-router';
import { session } from '../../shared/session';
import { useStore } from '../../shared/store';
import { pages, type Section } from '../pages';
import { text } from '../text';

const SECTIONS: readonly Section[] = ['fleet', 'access', 'system'];

/** The pages in three groups, without those that the user's role cannot use. */
export function Rail() {
  useStore(session.stage);
  const { pathname } = useLocation();
  const shown = pages.filter((page) => page.rail !== undefined && session.may(page.least ?? 'viewer'));
  return (
    <ScrollArea type="auto" scrollbarSize={6}>
      {SECTIONS.map((section) => {
        const own = shown.filter((page) => page.rail?.section === section);
        return own.length === 0 ? null : (
          <div key={section}>
            <Text size="xs" c="dimmed" fw={600} px="xs" pt="sm" pb={4}>
              {text.sections[section]}
            </Text>
            {own.map((page) => {
              const Icon = page.rail?.icon;
              const isHere = page.path === '/' ? pathname === '/' : `${pathname}/`.startsWith(`${page.path}/`);
              return (
                <NavLink
                  key={page.path}
                  component={Link}
                  to={page.path}
                  label={page.title}
                  active={isHere}
                  aria-current={isHere ? 'page' : undefined}
                  variant="filled"
                  leftSection={Icon && <Icon size={17} stroke={1.7} />}
                  py={6}
                  style={{ borderRadius: 'var(--mantine-radius-md)' }}
                />
              );
            })}
          </div>
        );
      })}
    </ScrollArea>
  );
}
