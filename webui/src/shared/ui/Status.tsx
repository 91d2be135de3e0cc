import { Group, Text } from '@mantine/core';
import { text } from './text';

const SHAPES = {
  online: { colour: 'var(--hub-good)', fill: 'var(--hub-good)', dash: undefined },
  offline: { colour: 'var(--hub-bad)', fill: 'none', dash: undefined },
  unknown: { colour: 'var(--hub-quiet)', fill: 'none', dash: '2 2' },
};

/** Presence in a word and a shape: filled, a ring, a broken ring. */
export function Status({ status }: { status: keyof typeof SHAPES }) {
  const { colour, fill, dash } = SHAPES[status];
  return (
    <Group gap={6} wrap="nowrap" display="inline-flex">
      <svg width="10" height="10" viewBox="0 0 10 10" aria-hidden="true">
        <circle cx="5" cy="5" r="3.8" fill={fill} stroke={colour} strokeWidth="2" strokeDasharray={dash} />
      </svg>
      <Text span size="sm">
        {text.status[status]}
      </Text>
    </Group>
  );
}
