import { ActionIcon, TextInput } from '@mantine/core';
import { useDebouncedCallback, useHotkeys } from '@mantine/hooks';
import { IconSearch, IconX } from '@tabler/icons-react';
import { useEffect, useRef, useState } from 'react';
import type { Problem } from '../api/problem';
import { text } from './text';

type Props = {
  value: string;
  change: (q: string) => void;
  label: string;
  hint: string;
  /** Why the query cannot be read, if it cannot. */
  problem?: Problem | null;
};

/** A query as it is typed; what it asks follows a moment after the last key. The key / leads to it. */
export function QueryBox({ value, change, label, hint, problem }: Props) {
  const [typed, setTyped] = useState(value);
  const field = useRef<HTMLInputElement>(null);
  const sent = useRef(value);
  const send = useDebouncedCallback((q: string) => {
    sent.current = q;
    change(q);
  }, 200);
  useEffect(() => {
    if (value !== sent.current) setTyped(value);
    sent.current = value;
  }, [value]);
  useHotkeys([['/', () => field.current?.focus()]]);
  const wrong =
    problem?.status === 400
      ? `${problem.detail}${problem.position === null ? '' : ` ${text.at(problem.position + 1)}`}`
      : undefined;
  return (
    <TextInput
      ref={field}
      flex="1 1 260px"
      value={typed}
      onChange={(event) => {
        setTyped(event.currentTarget.value);
        send(event.currentTarget.value.trim());
      }}
      aria-label={label}
      placeholder={hint}
      error={wrong}
      spellCheck={false}
      autoCapitalize="none"
      leftSection={<IconSearch size={16} aria-hidden="true" />}
      rightSection={
        typed === '' ? undefined : (
          <ActionIcon
            size="sm"
            variant="subtle"
            color="gray"
            aria-label={text.clear}
            onClick={() => {
              setTyped('');
              sent.current = '';
              change('');
            }}
          >
            <IconX size={14} />
          </ActionIcon>
        )
      }
    />
  );
}
