import { Button, Group, Modal, Stack, TextInput } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { type FormEvent, type ReactNode, useEffect, useState } from 'react';
import { ProblemBox } from './ProblemBox';
import { text } from './text';

type Props = {
  opened: boolean;
  close: () => void;
  title: string;
  /** What will be so afterwards, above all what cannot be taken back. */
  children: ReactNode;
  /** What the button says: the deed, not "OK". */
  action: string;
  act: () => Promise<unknown>;
  /** To be typed before it can be done: for what cannot be taken back. */
  word?: string;
  isHarmless?: boolean;
};

/** Asks before something is done, and stays with the reason if it fails. */
export function Confirm({ opened, close, title, children, action, act, word, isHarmless }: Props) {
  const [typed, setTyped] = useState('');
  const deed = useMutation({ mutationFn: act, onSuccess: close });
  const { reset } = deed;
  useEffect(() => {
    if (!opened) return;
    setTyped('');
    reset();
  }, [opened, reset]);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (word === undefined || typed === word) deed.mutate();
  };
  return (
    <Modal opened={opened} onClose={close} title={title}>
      <form onSubmit={submit}>
        <Stack>
          {children}
          {word !== undefined && (
            <TextInput
              label={text.confirm.type(word)}
              value={typed}
              onChange={(event) => setTyped(event.currentTarget.value)}
              autoComplete="off"
              spellCheck={false}
              data-autofocus
            />
          )}
          {deed.isError && <ProblemBox problem={deed.error} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>
              {text.cancel}
            </Button>
            <Button
              type="submit"
              color={isHarmless ? undefined : 'red.9'}
              loading={deed.isPending}
              disabled={word !== undefined && typed !== word}
            >
              {action}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
