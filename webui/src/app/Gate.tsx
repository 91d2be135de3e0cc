import { Outlet, useLocation, useNavigate } from '@tanstack/react-router';
import { useEffect } from 'react';
import { api, told } from '../shared/api/client';
import { asProblem, type Problem } from '../shared/api/problem';
import { type Me, session } from '../shared/session';
import { Store, useStore } from '../shared/store';
import { PageSkeleton } from '../shared/ui/Waiting';
import { ProblemPage } from './shell/ProblemPage';

const failed = new Store<Problem | null>(null);

/** Finds out who is here, once; before that no page is shown. */
async function arrive(): Promise<void> {
  failed.set(null);
  try {
    if (session.isLikely) {
      session.begin((await told(api.GET('/api/auth/me'))) as Me);
      return;
    }
  } catch (thrown) {
    const problem = asProblem(thrown);
    if (problem.status !== 401 && problem.status !== 403) {
      failed.set(problem);
      return;
    }
  }
  session.end();
}

let hasAsked = false;

/** Lets nobody in who has not signed in, and leads the first one to the first run. */
export function Gate() {
  const stage = useStore(session.stage);
  const problem = useStore(failed);
  const { pathname, href } = useLocation();
  const navigate = useNavigate();
  const isOpen = pathname === '/login' || pathname === '/setup';

  useEffect(() => {
    if (hasAsked) return;
    hasAsked = true;
    void arrive();
  }, []);
  useEffect(() => {
    if (stage.name === 'out' && !isOpen) {
      void navigate({ to: '/login', search: href === '/' ? {} : { to: href }, replace: true });
    }
  }, [stage, isOpen, href, navigate]);

  if (problem !== null) {
    return (
      <ProblemPage
        problem={problem}
        again={() => {
          void arrive();
        }}
      />
    );
  }
  if (stage.name === 'asking' || (stage.name === 'out' && !isOpen)) return <PageSkeleton />;
  return <Outlet />;
}
