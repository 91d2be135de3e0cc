import { Group, Text } from '@mantine/core';
import { text } from '../text';

/** The hub's mark: three that meet in one. */
export function Mark({ size = 24 }: { size?: number }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 32 32"
      fill="none"
      stroke="currentColor"
      strokeWidth="2.4"
      strokeLinecap="round"
      aria-hidden="true"
    >
      <path d="M16 11V6M20.3 18.5l4.4 2.5M11.7 18.5 7.3 21" />
      <circle cx="16" cy="16" r="4.6" fill="currentColor" stroke="none" />
      <circle cx="16" cy="4.4" r="2.2" />
      <circle cx="26.2" cy="22" r="2.2" />
      <circle cx="5.8" cy="22" r="2.2" />
    </svg>
  );
}

/** Mark and name. */
export function Brand({ size = 24 }: { size?: number }) {
  return (
    <Group gap={8} wrap="nowrap" c="var(--mantine-color-anchor)">
      <Mark size={size} />
      <Text fw={650} fz={size * 0.65} c="var(--mantine-color-text)" style={{ letterSpacing: '-0.01em' }}>
        {text.product}
      </Text>
    </Group>
  );
}
