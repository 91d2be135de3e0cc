import { Button, Modal, Stack, Text } from '@mantine/core';
import { session } from '../../shared/session';
import { useStore } from '../../shared/store';
import { SignInForm } from './SignInForm';
import { text } from './text';

/** Over the page whose session is over; the page stays, and what it asked is asked again. */
export function SignInAgain() {
  const stage = useStore(session.stage);
  const user = stage.name === 'again' ? stage.me.user : undefined;
  return (
    <Modal
      opened={user !== undefined}
      onClose={() => undefined}
      withCloseButton={false}
      closeOnClickOutside={false}
      closeOnEscape={false}
      title={text.again.title}
    >
      <Stack>
        <Text size="sm">{text.again.why}</Text>
        {user !== undefined && <SignInForm key={user} user={user} />}
        <Button variant="subtle" onClick={() => session.end()}>
          {text.again.other}
        </Button>
      </Stack>
    </Modal>
  );
}
