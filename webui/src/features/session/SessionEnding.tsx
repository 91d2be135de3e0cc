import { Button, Stack, Text } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useEffect } from 'react';
import { api, told } from '../../shared/api/client';
import { clock } from '../../shared/format';
import { type Me, session } from '../../shared/session';
import { useStore } from '../../shared/store';
import { tellProblem } from '../../shared/ui/toasts';
import { text } from './text';

const AHEAD_MS = 5 * 60_000;
const ID = 'session-ending';
/** More than timers take. */
const LONGEST_MS = 2 ** 31 - 1;

async function stay(): Promise<void> {
  notifications.hide(ID);
  try {
    session.begin((await told(api.POST('/api/auth/refresh'))) as Me);
  } catch (thrown) {
    tellProblem(thrown);
  }
}

/** Warns five minutes before the session ends, and asks who stays to say so. */
export function SessionEnding() {
  const stage = useStore(session.stage);
  const ends = useStore(session.ends);
  const me = stage.name === 'in' ? stage.me : null;
  useEffect(() => {
    if (me === null || !Number.isFinite(ends)) return;
    const isLast = Math.abs(ends - (Date.parse(me.endsAt) - (session.now() - Date.now()))) < 1000;
    const timer = setTimeout(
      () =>
        notifications.show({
          id: ID,
          title: text.ending.title,
          autoClose: false,
          color: 'yellow',
          message: (
            <Stack gap="xs" align="flex-start">
              <Text size="sm">{isLast ? text.ending.last(clock(ends)) : text.ending.at(clock(ends))}</Text>
              {!isLast && (
                <Button size="compact-sm" variant="default" onClick={() => void stay()}>
                  {text.ending.stay}
                </Button>
              )}
            </Stack>
          ),
        }),
      Math.min(LONGEST_MS, Math.max(0, ends - Date.now() - AHEAD_MS)),
    );
    return () => {
      clearTimeout(timer);
      notifications.hide(ID);
    };
  }, [me, ends]);
  return null;
}
