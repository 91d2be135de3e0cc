import { Button, Stack, Text, Title } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { text } from '../text';

/** An address that leads nowhere. */
export function MissingPage() {
  return (
    <Stack p="xl" align="flex-start">
      <Title order={1}>{text.missing.title}</Title>
      <Text c="dimmed">{text.missing.detail}</Text>
      <Button component={Link} to="/" variant="default">
        {text.missing.home}
      </Button>
    </Stack>
  );
}
