import { Anchor, Center, FocusTrap, Paper, Stack, Text, Title } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { useEffect } from 'react';
import { Brand } from '../../app/shell/Brand';
import { api, told } from '../../shared/api/client';
import { session } from '../../shared/session';
import { useStore } from '../../shared/store';
import { SignInForm } from './SignInForm';
import { text } from './text';

/** The way in; afterwards it goes on to the page that was asked for. */
export default function SignInPage() {
  const { to } = useSearch({ strict: false }) as { to?: string };
  const stage = useStore(session.stage);
  const navigate = useNavigate();
  const setup = useQuery({ queryKey: ['setup'], queryFn: () => told(api.GET('/api/setup')) });
  const isFirst = setup.data?.needed === true;
  useEffect(() => {
    // Only pages of this interface: an address that somebody sent may name another host.
    if (stage.name === 'in') void navigate({ href: to?.match(/^\/(?![/\\])/) ? to : '/', replace: true });
    else if (isFirst) void navigate({ to: '/setup', replace: true });
  }, [stage, to, isFirst, navigate]);
  return (
    <Center mih="100vh" p="md" component="main">
      <Stack w="100%" maw={360} gap="lg">
        <Center>
          <Brand size={30} />
        </Center>
        <Paper p="lg">
          <Title order={1} mb="md">
            {text.title}
          </Title>
          <FocusTrap active>
            <SignInForm />
          </FocusTrap>
        </Paper>
        {setup.data?.needed && (
          <Text size="sm" ta="center">
            {text.first}{' '}
            <Anchor component={Link} to="/setup">
              {text.setUp}
            </Anchor>
          </Text>
        )}
      </Stack>
    </Center>
  );
}
