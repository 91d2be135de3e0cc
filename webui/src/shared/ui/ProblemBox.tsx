import { Alert, Button, Group, Text } from '@mantine/core';
import { IconAlertTriangle } from '@tabler/icons-react';
import { asProblem } from '../api/problem';
import { CopyButton } from './CopyButton';
import { text } from './text';

/** What failed, why, under which request, and a way to try again. */
export function ProblemBox({ problem: thrown, again }: { problem: unknown; again?: () => void }) {
  const problem = asProblem(thrown);
  const fields = Object.entries(problem.fields);
  return (
    <Alert
      color="red"
      variant="outline"
      icon={<IconAlertTriangle />}
      title={problem.title}
      role="alert"
      bg="var(--mantine-color-body)"
    >
      {problem.detail !== problem.title && (
        <Text size="sm" className="foreign">
          {problem.detail}
        </Text>
      )}
      {fields.map(([field, why]) => (
        <Text key={field} size="sm" className="foreign">
          <b>{field}</b>: {why}
        </Text>
      ))}
      <Group mt="xs" gap="xs">
        {again !== undefined && (
          <Button size="xs" variant="default" onClick={again}>
            {text.retry}
          </Button>
        )}
        {problem.requestId !== null && (
          <Group gap={4}>
            <Text size="xs" c="dimmed">
              {text.request} <code>{problem.requestId}</code>
            </Text>
            <CopyButton value={problem.requestId} what={text.request} />
          </Group>
        )}
      </Group>
    </Alert>
  );
}
