import { describe, expect, it } from 'vitest';
import { backOff, heard, readFrame, START } from './state';

const wanted = { topics: ['status'], devices: null };
const message = (seq: number) => ({ type: 'message', topic: 'status', deviceId: 'a', data: { online: true }, seq });

describe('a live connection', () => {
  it('subscribes first, and resumes only what it has heard before', () => {
    const [, first] = heard(START, { type: 'connected' }, wanted);
    expect(first).toEqual([{ do: 'up' }, { do: 'say', what: { type: 'subscribe', topics: ['status'] } }]);

    const [, again] = heard({ seq: 9, attempts: 3, wasUp: true }, { type: 'connected' }, wanted);
    expect(again.at(-1)).toEqual({ do: 'say', what: { type: 'resume', seq: 9 } });
  });

  it('has pages fetch again when it comes back without having heard anything', () => {
    const [, deeds] = heard({ ...START, wasUp: true }, { type: 'connected' }, wanted);
    expect(deeds.at(-1)).toEqual({ do: 'refetch' });
  });

  it('names devices only where some are meant', () => {
    const [, deeds] = heard(START, { type: 'connected' }, { topics: ['twin'], devices: ['a'] });
    expect(deeds[1]).toEqual({ do: 'say', what: { type: 'subscribe', topics: ['twin'], devices: ['a'] } });
  });

  it('hands a message on once, also when it is told again', () => {
    const [state, deeds] = heard(START, message(5), wanted);
    expect(deeds).toEqual([{ do: 'hand', message: message(5) }]);
    expect(heard(state, message(5), wanted)[1]).toEqual([]);
    expect(heard(state, message(4), wanted)[1]).toEqual([]);
    expect(heard(state, message(6), wanted)[0].seq).toBe(6);
  });

  it('has pages fetch again after a gap', () => {
    expect(heard(START, { type: 'gap' }, wanted)[1]).toEqual([{ do: 'refetch' }]);
  });

  it('is not put out by what is no frame', () => {
    expect(readFrame('<html>')).toBeNull();
    expect(readFrame('3')).toBeNull();
    expect(readFrame('{"type":"gap"}')).toEqual({ type: 'gap' });
  });

  it('waits longer each time, up to fifteen seconds', () => {
    const waits = [0, 1, 2, 3, 4, 5, 6, 60].map((attempts) => backOff(attempts, 1));
    expect(waits).toEqual([500, 1000, 2000, 4000, 8000, 15000, 15000, 15000]);
    expect(backOff(0, 0)).toBe(250);
  });
});
