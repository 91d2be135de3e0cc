import { describe, expect, it } from 'vitest';
import { ALL, howMany, isChosen, NONE, toggled } from './selection';

describe('a selection', () => {
  it('takes a row in, and out again', () => {
    const one = toggled(NONE, 'a');
    expect(isChosen(one, 'a')).toBe(true);
    expect(isChosen(one, 'b')).toBe(false);
    expect(howMany(toggled(one, 'a'), 10)).toBe(0);
  });

  it('counts all that match without knowing them', () => {
    expect(howMany(ALL, 50_000)).toBe(50_000);
    expect(isChosen(ALL, 'whichever')).toBe(true);
  });

  it('begins anew with a row that is clicked while all are chosen', () => {
    expect([...toggled(ALL, 'a').ids]).toEqual(['a']);
  });
});
