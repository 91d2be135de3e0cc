/** What the first run says. */
export const text = {
  title: 'Set up this hub',
  lead: 'Make the first admin. The code is in the terminal where the hub was started; "devicehub up" prints it while there is no user.',
  code: 'Code',
  codeHint: 'From the terminal, good for a day and once',
  name: 'Name of the admin',
  password: 'Password',
  passwordHint: 'At least 12 characters; a few words are fine',
  repeat: 'The password again',
  unlike: 'The two passwords differ.',
  hosts: 'Addresses of the hub',
  hostsHint:
    'Under which devices reach it: names or IP addresses, separated by commas. They are put into the broker’s certificate.',
  submit: 'Make the admin and go on',
  done: { title: 'This hub is set up', detail: 'Sign in with a user of it.', signIn: 'Sign in' },
} as const;
