import { Button, Kbd } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { Spotlight, type SpotlightActionData, type SpotlightActionGroupData, spotlight } from '@mantine/spotlight';
import { IconCpu, IconSearch } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { api, page } from '../../shared/api/client';
import { session } from '../../shared/session';
import { pages } from '../pages';
import { text } from '../text';

const FOUND = 6;

/** Opens the palette, and says by which keys. */
export function PaletteButton() {
  return (
    <Button
      variant="default"
      size="xs"
      c="dimmed"
      fw={400}
      miw={0}
      flex="0 1 300px"
      justify="space-between"
      leftSection={<IconSearch size={15} />}
      rightSection={
        <Kbd size="xs" visibleFrom="sm">
          Ctrl K
        </Kbd>
      }
      onClick={spotlight.open}
    >
      {text.palette.open}
    </Button>
  );
}

/** Pages and devices by a few letters, from anywhere. */
export function Palette() {
  const navigate = useNavigate();
  const [query, setQuery] = useState('');
  const [wanted] = useDebouncedValue(query.trim(), 120);
  const found = useQuery({
    queryKey: ['palette', wanted],
    enabled: wanted.length > 0,
    queryFn: ({ signal }) => page(api.GET('/api/devices', { params: { query: { q: wanted, limit: FOUND } }, signal })),
    // What is typed may not be a query yet.
    retry: false,
    placeholderData: (before) => before,
  });
  const go =
    (to: string, search: Record<string, string> = {}) =>
    () =>
      void navigate({ to, search });
  const needle = query.trim().toLowerCase();
  const reachable: SpotlightActionData[] = pages
    .filter((one) => !one.path.includes('$') && session.may(one.least ?? 'viewer'))
    .filter((one) => one.title.toLowerCase().includes(needle))
    .map(({ path, title, rail }) => {
      const Icon = rail?.icon;
      return { id: path, label: title, onClick: go(path), leftSection: Icon && <Icon size={18} stroke={1.7} /> };
    });
  const devices: SpotlightActionData[] =
    needle === ''
      ? []
      : [
          ...(found.data?.rows ?? []).map((device) => ({
            id: `device-${device.deviceName}`,
            label: device.displayName ?? device.deviceId,
            description: [device.deviceName, device.model, device.status].filter(Boolean).join(' · '),
            onClick: go(`/devices/${device.deviceName}`),
            leftSection: <IconCpu size={18} stroke={1.7} />,
          })),
          {
            id: 'search',
            label: text.palette.all(query.trim()),
            onClick: go('/devices', { q: query.trim() }),
            leftSection: <IconSearch size={18} />,
          },
        ];
  const groups: SpotlightActionGroupData[] = [
    { group: text.palette.pages, actions: reachable },
    { group: text.palette.devices, actions: devices },
  ].filter((group) => group.actions.length > 0);
  return (
    <Spotlight
      actions={groups}
      query={query}
      onQueryChange={setQuery}
      // What is shown is what was found, in this order.
      filter={(_, actions) => actions}
      nothingFound={text.palette.nothing}
      shortcut={['mod + K']}
      highlightQuery={false}
      attributes={{ content: { 'aria-label': text.palette.name } }}
      searchProps={{
        leftSection: <IconSearch size={18} />,
        placeholder: text.palette.hint,
        'aria-label': text.palette.hint,
      }}
    />
  );
}
