import { MantineProvider } from '@mantine/core';
import { Notifications } from '@mantine/notifications';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { asProblem } from '../shared/api/problem';
import { router } from './router';
import { resolver, schemes, theme } from './theme';

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      // Live messages say when something changed; without them a page is fetched again when it is looked at.
      staleTime: 15_000,
      refetchOnWindowFocus: true,
      retry: (failures, thrown) => failures < 2 && asProblem(thrown).mayPass,
    },
    mutations: { retry: false },
  },
});

/** The whole interface. */
export function App() {
  return (
    <MantineProvider
      theme={theme}
      cssVariablesResolver={resolver}
      colorSchemeManager={schemes}
      defaultColorScheme="auto"
    >
      <Notifications position="bottom-right" limit={4} />
      <QueryClientProvider client={queries}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </MantineProvider>
  );
}
