import { Button, PasswordInput, Stack, TextInput } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';
import { api, told } from '../../shared/api/client';
import { type Me, session } from '../../shared/session';
import { ProblemBox } from '../../shared/ui/ProblemBox';
import { text } from './text';

/**
 * Name and password.
 *
 * @param user is fixed where somebody signs in again.
 */
export function SignInForm({ user: fixed, done }: { user?: string; done?: () => void }) {
  const [user, setUser] = useState(fixed ?? '');
  const [password, setPassword] = useState('');
  const signIn = useMutation({
    mutationFn: () => told(api.POST('/api/auth/login', { body: { user, password } })),
    onSuccess: (me) => {
      session.begin(me as Me);
      done?.();
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    signIn.mutate();
  };
  return (
    <form onSubmit={submit}>
      <Stack>
        <TextInput
          label={text.user}
          value={user}
          readOnly={fixed !== undefined}
          onChange={(event) => setUser(event.currentTarget.value)}
          autoComplete="username"
          autoCapitalize="none"
          spellCheck={false}
          data-autofocus={fixed === undefined || undefined}
          required
          withAsterisk={false}
        />
        <PasswordInput
          label={text.password}
          value={password}
          onChange={(event) => setPassword(event.currentTarget.value)}
          autoComplete="current-password"
          data-autofocus={fixed !== undefined || undefined}
          required
          withAsterisk={false}
        />
        {signIn.isError && <ProblemBox problem={signIn.error} />}
        <Button type="submit" loading={signIn.isPending}>
          {text.submit}
        </Button>
      </Stack>
    </form>
  );
}
