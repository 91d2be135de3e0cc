import {
  type CSSVariablesResolver,
  createTheme,
  localStorageColorSchemeManager,
  type MantineColorsTuple,
} from '@mantine/core';

const petrol: MantineColorsTuple = [
  '#e7f5f7', '#d0e9ed', '#a3d3db', '#74bcc8', '#4ca6b5', '#2f93a4', '#168495', '#0a7585', '#006775', '#005662',
]; // biome-ignore format: ten shades are read as one line
const dark: MantineColorsTuple = [
  '#dde4ea', '#b9c4ce', '#9aa8b5', '#77879a', '#3a4754', '#2c3742', '#212a33', '#1a2129', '#141a20', '#0e1317',
]; // biome-ignore format: ten shades are read as one line

const fonts = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans', sans-serif";
const mono = "ui-monospace, 'Cascadia Mono', 'SF Mono', Menlo, Consolas, 'Liberation Mono', monospace";

export const theme = createTheme({
  colors: { petrol, dark },
  primaryColor: 'petrol',
  primaryShade: { light: 8, dark: 8 },
  autoContrast: true,
  luminanceThreshold: 0.25,
  fontFamily: fonts,
  fontFamilyMonospace: mono,
  fontSizes: { xs: '0.75rem', sm: '0.8125rem', md: '0.875rem', lg: '1rem', xl: '1.125rem' },
  headings: {
    fontFamily: fonts,
    fontWeight: '600',
    sizes: { h1: { fontSize: '1.25rem' }, h2: { fontSize: '1rem' }, h3: { fontSize: '0.9rem' } },
  },
  defaultRadius: 'md',
  respectReducedMotion: true,
  cursorType: 'pointer',
  components: {
    Button: { defaultProps: { size: 'sm' } },
    Badge: { defaultProps: { variant: 'outline', tt: 'none', fw: 500, radius: 'sm' } },
    Tooltip: { defaultProps: { openDelay: 300, withArrow: true, multiline: true, maw: 320 } },
    Modal: { defaultProps: { centered: true, overlayProps: { backgroundOpacity: 0.45 } } },
    Paper: { defaultProps: { withBorder: true, p: 'md' } },
  },
});

// Mantine's own greys fail the contrast that WCAG asks of small text.
export const resolver: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    '--mantine-color-body': '#ffffff',
    '--mantine-color-text': '#17212b',
    '--mantine-color-dimmed': '#52606d',
    '--mantine-color-placeholder': '#5d6a76',
    '--mantine-color-anchor': '#00616e',
    '--mantine-color-error': '#b3261e',
    '--mantine-color-default-border': '#cfd7de',
    '--hub-ground': '#f4f6f8',
    '--hub-line': '#e1e6eb',
    '--hub-hover': '#eef3f5',
    '--hub-chosen': '#e0f0f3',
    '--hub-good': '#1a7a45',
    '--hub-warn': '#8f5a00',
    '--hub-bad': '#b3261e',
    '--hub-quiet': '#5d6a76',
    '--hub-key': '#00616e',
    '--hub-string': '#1a6b3c',
    '--hub-number': '#8a4b00',
    '--hub-word': '#8a2b6b',
  },
  dark: {
    '--mantine-color-body': '#161c22',
    '--mantine-color-text': '#dde4ea',
    '--mantine-color-dimmed': '#9aa8b5',
    '--mantine-color-placeholder': '#93a1ae',
    '--mantine-color-anchor': '#74c7d4',
    '--mantine-color-error': '#ff9a90',
    '--mantine-color-default': '#1c242c',
    '--mantine-color-default-border': '#3a4754',
    '--hub-ground': '#0f1418',
    '--hub-line': '#28323c',
    '--hub-hover': '#1c252d',
    '--hub-chosen': '#12353c',
    '--hub-good': '#5fce8e',
    '--hub-warn': '#e8b04b',
    '--hub-bad': '#ff9a90',
    '--hub-quiet': '#9aa8b5',
    '--hub-key': '#74c7d4',
    '--hub-string': '#8fd6a4',
    '--hub-number': '#e8b878',
    '--hub-word': '#e3a3cf',
  },
});

export const schemes = localStorageColorSchemeManager({ key: 'devicehub.scheme' });
