import { session } from './session';

/** English for now; a second language sets this and brings its own texts. */
const LOCALE = 'en-GB';
const ZONE = 'devicehub.zone';

/** Whether times are shown in UTC instead of this browser's time zone. */
export const isUtc = (): boolean => localStorage.getItem(ZONE) === 'utc';
export const showUtc = (utc: boolean): void =>
  utc ? localStorage.setItem(ZONE, 'utc') : localStorage.removeItem(ZONE);

const zone = () => (isUtc() ? { timeZone: 'UTC' } : {});
const numbers = new Intl.NumberFormat(LOCALE);
const relative = new Intl.RelativeTimeFormat(LOCALE, { numeric: 'auto', style: 'short' });

export const count = (value: number): string => numbers.format(value);

/** Date and time to the second, with the zone. */
export const absolute = (when: string | number | Date): string =>
  new Intl.DateTimeFormat(LOCALE, { dateStyle: 'medium', timeStyle: 'long', ...zone() }).format(new Date(when));

export const day = (when: string | number | Date): string =>
  new Intl.DateTimeFormat(LOCALE, { dateStyle: 'medium', ...zone() }).format(new Date(when));

/** Time of day to the second. */
export const clock = (when: string | number | Date): string =>
  new Intl.DateTimeFormat(LOCALE, { timeStyle: 'medium', ...zone() }).format(new Date(when));

const STEPS: readonly [number, Intl.RelativeTimeFormatUnit][] = [
  [60, 'second'],
  [60, 'minute'],
  [24, 'hour'],
  [30.44, 'day'],
  [12, 'month'],
  [Number.POSITIVE_INFINITY, 'year'],
];

/** How long ago or ahead, by the hub's clock: "3 min ago". */
export function ago(when: string | number | Date, now = session.now()): string {
  let span = (new Date(when).getTime() - now) / 1000;
  for (const [size, unit] of STEPS) {
    if (Math.abs(span) < size)
      return unit === 'second' && Math.abs(span) < 10 ? 'just now' : relative.format(Math.round(span), unit);
    span /= size;
  }
  return '';
}

/** A span of seconds in its two largest units: "3 d 4 h". */
export function span(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const parts: [number, string][] = [
    [Math.floor(whole / 86_400), 'd'],
    [Math.floor(whole / 3600) % 24, 'h'],
    [Math.floor(whole / 60) % 60, 'min'],
    [whole % 60, 's'],
  ];
  const first = parts.findIndex(([value]) => value > 0);
  if (first < 0) return '0 s';
  return parts
    .slice(first, first + 2)
    .filter(([value]) => value > 0)
    .map(([value, unit]) => `${value} ${unit}`)
    .join(' ');
}

/** Bytes in binary units: "1.4 MiB". */
export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const step = value < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(value) / 10));
  const scaled = value / 1024 ** step;
  return `${scaled >= 100 || step === 0 ? Math.round(scaled) : scaled.toFixed(1)} ${units[step]}`;
}
