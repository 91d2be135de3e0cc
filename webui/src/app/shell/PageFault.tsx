import { Alert, Button } from '@mantine/core';
import { IconAlertTriangle } from '@tabler/icons-react';
import type { ErrorComponentProps } from '@tanstack/react-router';
import { text } from '../text';

/** A page that could not be loaded or drawn. After an update of the hub the files of the old version are gone. */
export function PageFault({ error, reset }: ErrorComponentProps) {
  const why = error instanceof Error ? error.message : String(error);
  const isGone = /module|import|fetch/i.test(why);
  const said = isGone ? text.late : { ...text.fault, detail: why };
  return (
    <Alert
      m="md"
      color="red"
      variant="outline"
      icon={<IconAlertTriangle />}
      title={said.title}
      bg="var(--mantine-color-body)"
    >
      <p className="foreign">{said.detail}</p>
      <Button size="xs" variant="default" onClick={() => (isGone ? location.reload() : reset())}>
        {said.again}
      </Button>
    </Alert>
  );
}
