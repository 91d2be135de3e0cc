/** What shared parts say. */
export const text = {
  loading: 'Loading…',
  retry: 'Try again',
  request: 'Request',
  copy: 'Copy',
  copied: 'Copied',
  cancel: 'Cancel',
  undo: 'Undo',
  undone: 'Undone',
  confirm: {
    type: (word: string) => `Type ${word} to go on`,
    wrong: (word: string) => `That is not ${word}.`,
  },
  clear: 'Clear all',
  remove: (what: string) => `Remove ${what}`,
} as const;
