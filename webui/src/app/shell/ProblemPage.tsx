import { Center, Stack } from '@mantine/core';
import type { Problem } from '../../shared/api/problem';
import { ProblemBox } from '../../shared/ui/ProblemBox';
import { Brand } from './Brand';

/** The hub cannot be asked who is here: nothing else can be shown. */
export function ProblemPage({ problem, again }: { problem: Problem; again: () => void }) {
  return (
    <Center mih="80vh" p="md" component="main">
      <Stack maw={520} w="100%">
        <Brand />
        <ProblemBox problem={problem} again={again} />
      </Stack>
    </Center>
  );
}
