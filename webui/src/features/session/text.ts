/** What is said about signing in. */
export const text = {
  title: 'Sign in',
  user: 'User',
  password: 'Password',
  submit: 'Sign in',
  first: 'No user yet?',
  setUp: 'Set up this hub',
  again: {
    title: 'Sign in again',
    why: 'Your session is over. What you typed on this page is kept; it goes on where it stopped.',
    other: 'Sign in as somebody else',
  },
  ending: {
    title: 'Your session ends soon',
    at: (time: string) => `It ends at ${time} if nothing is asked of the hub.`,
    last: (time: string) => `It ends at ${time}. Then sign in again; this page stays as it is.`,
    stay: 'Stay signed in',
  },
} as const;
