import { ActionIcon, Menu } from '@mantine/core';
import { IconLogout, IconUser } from '@tabler/icons-react';
import { useQueryClient } from '@tanstack/react-query';
import { api, told } from '../../shared/api/client';
import { session } from '../../shared/session';
import { useStore } from '../../shared/store';
import { tellProblem } from '../../shared/ui/toasts';
import { text } from '../text';

/** Who is signed in, and the way out. */
export function UserMenu() {
  const stage = useStore(session.stage);
  const queries = useQueryClient();
  if (stage.name !== 'in' && stage.name !== 'again') return null;
  const leave = async () => {
    try {
      await told(api.POST('/api/auth/logout'));
    } catch (thrown) {
      tellProblem(thrown);
      return;
    }
    session.end();
    queries.clear();
  };
  return (
    <Menu position="bottom-end" withinPortal>
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" aria-label={text.user.name(stage.me.user)} c="dimmed">
          <IconUser size={18} stroke={1.7} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>
          {text.user.name(stage.me.user)}
          <br />
          {text.user.role(stage.me.role)}
        </Menu.Label>
        <Menu.Item leftSection={<IconLogout size={16} />} onClick={() => void leave()}>
          {text.user.out}
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
