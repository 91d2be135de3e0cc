import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from '@tanstack/react-router';
import { PageSkeleton } from '../shared/ui/Waiting';
import { Gate } from './Gate';
import { pages } from './pages';
import { MissingPage } from './shell/MissingPage';
import { PageFault } from './shell/PageFault';
import { Shell } from './shell/Shell';

const root = createRootRoute({ component: Gate, notFoundComponent: MissingPage });

const signIn = createRoute({
  getParentRoute: () => root,
  path: '/login',
  component: lazyRouteComponent(() => import('../features/session/SignInPage')),
});
const setup = createRoute({
  getParentRoute: () => root,
  path: '/setup',
  component: lazyRouteComponent(() => import('../features/setup/SetupPage')),
});
const inside = createRoute({
  getParentRoute: () => root,
  id: 'inside',
  component: Shell,
  notFoundComponent: MissingPage,
});
const each = pages.map((page) =>
  createRoute({
    getParentRoute: () => inside,
    path: page.path,
    component: lazyRouteComponent(page.load),
    pendingComponent: PageSkeleton,
    errorComponent: PageFault,
  }),
);
const lost = createRoute({ getParentRoute: () => inside, path: '$', component: MissingPage });

/** Search parameters are plain texts, so that an address reads as it would be typed. */
export const router = createRouter({
  routeTree: root.addChildren([signIn, setup, inside.addChildren([...each, lost])]),
  parseSearch: (search) => Object.fromEntries(new URLSearchParams(search)),
  stringifySearch: (search) => {
    const written = new URLSearchParams(
      Object.entries(search).filter(([, value]) => value !== undefined && value !== '') as [string, string][],
    ).toString();
    return written === '' ? '' : `?${written}`;
  },
  defaultPendingMs: 150,
  defaultPreload: 'intent',
  scrollRestoration: true,
});
