/** Which rows are chosen: some by their ids, or all that match but these. */
export type Selection = { all: boolean; ids: ReadonlySet<string> };

export const NONE: Selection = { all: false, ids: new Set() };
export const ALL: Selection = { all: true, ids: new Set() };

export const isChosen = (selection: Selection, id: string): boolean => selection.all || selection.ids.has(id);

/** How many of `total` are chosen. */
export const howMany = (selection: Selection, total: number): number => (selection.all ? total : selection.ids.size);

/**
 * Choose a row or leave it out.
 *
 * From "all that match" nothing can be left out, because what matches is known to the hub alone: it begins anew with the one.
 */
export function toggled(selection: Selection, id: string): Selection {
  if (selection.all) return { all: false, ids: new Set([id]) };
  const ids = new Set(selection.ids);
  if (!ids.delete(id)) ids.add(id);
  return { all: false, ids };
}
