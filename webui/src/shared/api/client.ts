import createClient from 'openapi-fetch';
import { session } from '../session';
import { asProblem, problemOf } from './problem';
import type { components, paths } from './schema';

/** A message of the hub by its name, as its own description of the interface has it. */
export type Schema<Name extends keyof components['schemas']> = components['schemas'][Name];

/** Sends a request; signs in again where the session is over, and asks once more. */
async function send(request: Request): Promise<Response> {
  for (;;) {
    // A body can be read once: what may be sent again is a copy.
    const answer = await fetch(request.clone());
    if (answer.status !== 401) {
      session.used();
      return answer;
    }
    const path = new URL(request.url).pathname;
    if (path.startsWith('/api/auth/') || path === '/api/setup') return answer;
    await session.renewed(request.signal);
  }
}

/** The hub's HTTP interface, typed by its own description. The header keeps pages of other sites from asking. */
export const api = createClient<paths>({
  baseUrl: typeof location === 'undefined' ? 'http://localhost' : location.origin,
  headers: { 'X-Device-Hub': '1' },
  fetch: send,
});

type Answered<T> = { data?: T; error?: unknown; response: Response };

/**
 * The body of a good answer.
 *
 * @throws Problem for any other.
 */
export async function told<T>(asked: Promise<Answered<T>>): Promise<NonNullable<T>> {
  return (await whole(asked)).data;
}

/** The body of a good answer with its headers: totals and versions are there. */
export async function whole<T>(asked: Promise<Answered<T>>): Promise<{ data: NonNullable<T>; headers: Headers }> {
  const { data, error, response } = await asked.catch((thrown: unknown) => {
    if (thrown instanceof DOMException && thrown.name === 'AbortError') throw thrown;
    throw asProblem(thrown);
  });
  if (!response.ok) throw problemOf(response.status, error, response.headers.get('x-request-id'));
  return { data: data as NonNullable<T>, headers: response.headers };
}

/** A page of a list with how many there are in all. */
export type Page<Row> = { rows: readonly Row[]; total: number };

/** A list's answer as a page. */
export async function page<Row>(asked: Promise<Answered<readonly Row[]>>): Promise<Page<Row>> {
  const { data, headers } = await whole(asked);
  return { rows: data, total: Number(headers.get('x-total-count') ?? data.length) };
}
