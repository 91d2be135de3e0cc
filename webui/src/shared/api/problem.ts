/** What the hub says of a request that it refused or that failed (RFC 9457), or what kept it from being asked. */
export class Problem extends Error {
  constructor(
    /** HTTP status; 0 where the hub could not be reached. */
    readonly status: number,
    /** The stable code, such as `unknown_device`. */
    readonly code: string,
    readonly title: string,
    readonly detail: string,
    readonly requestId: string | null,
    readonly fields: Readonly<Record<string, string>> = {},
    /** For a query that cannot be read: at which of its characters. */
    readonly position: number | null = null,
  ) {
    super(detail || title);
    this.name = 'Problem';
  }

  /** Whether the same again may go well without anything being changed. */
  get mayPass(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** Read a problem page, whatever it is: a proxy in between may answer with a page of its own. */
export function problemOf(status: number, told: unknown, requestId: string | null = null): Problem {
  const page = typeof told === 'object' && told !== null ? (told as Record<string, unknown>) : {};
  const text = (key: string): string => (typeof page[key] === 'string' ? (page[key] as string) : '');
  return new Problem(
    status,
    text('error') || 'unknown',
    text('title') || `The answer was HTTP ${status}.`,
    text('detail'),
    text('requestId') || requestId,
    typeof page.fields === 'object' && page.fields !== null ? (page.fields as Record<string, string>) : {},
    typeof page.position === 'number' ? page.position : null,
  );
}

/** Whatever was thrown, as a problem that can be shown. */
export function asProblem(thrown: unknown): Problem {
  if (thrown instanceof Problem) return thrown;
  if (thrown instanceof TypeError) {
    return new Problem(
      0,
      'unreachable',
      'The hub cannot be reached.',
      'Check that it runs, and the network between.',
      null,
    );
  }
  return new Problem(0, 'unknown', 'Something went wrong in this page.', String(thrown), null);
}
