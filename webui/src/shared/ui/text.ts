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
  table: { choose: (id: string) => `Choose ${id}`, all: 'Choose all that match' },
  status: { online: 'Online', offline: 'Offline', unknown: 'Never seen' },
  at: (position: number) => `(at character ${position})`,
  clear: 'Clear all',
  remove: (what: string) => `Remove ${what}`,
} as const;
