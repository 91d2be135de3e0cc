import { Button, Group, Text } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { asProblem } from '../api/problem';
import { text } from './text';

/** Say that something is done. */
export function tell(message: string): void {
  notifications.show({ message, autoClose: 4000 });
}

/** Say that something failed, and under which request; it stays until it is closed. */
export function tellProblem(thrown: unknown): void {
  const problem = asProblem(thrown);
  notifications.show({
    color: 'red',
    title: problem.title,
    autoClose: false,
    message: (
      <>
        {problem.detail !== problem.title && (
          <Text size="sm" className="foreign">
            {problem.detail}
          </Text>
        )}
        {problem.requestId !== null && (
          <Text size="xs" c="dimmed">
            {text.request} <code>{problem.requestId}</code>
          </Text>
        )}
      </>
    ),
  });
}

/** Say that something reversible is done, with a way back for ten seconds. */
export function tellWithUndo(message: string, undo: () => Promise<unknown>): void {
  const id = `undo-${Date.now()}`;
  const back = async () => {
    notifications.hide(id);
    try {
      await undo();
      tell(text.undone);
    } catch (thrown) {
      tellProblem(thrown);
    }
  };
  notifications.show({
    id,
    autoClose: 10_000,
    message: (
      <Group justify="space-between" wrap="nowrap">
        <Text size="sm" className="foreign">
          {message}
        </Text>
        <Button size="compact-sm" variant="default" onClick={() => void back()}>
          {text.undo}
        </Button>
      </Group>
    ),
  });
}
