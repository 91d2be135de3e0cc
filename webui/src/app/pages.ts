import {
  IconAdjustments, IconBell, IconCertificate, IconCpu, IconDevices, IconHistory, IconKey, IconLayoutDashboard,
  IconListCheck, IconPlus, IconShieldCheck, IconSitemap, IconStack2, IconUsers,
} from '@tabler/icons-react'; // biome-ignore format: names alone
import type { ComponentType } from 'react';
import type { Role } from '../shared/session';
import { text } from './text';

type Icon = ComponentType<{ size?: number | string; stroke?: number | string }>;
export type Section = 'fleet' | 'access' | 'system';

/** A page: its address, what loads it, and where it stands in the rail. */
export type Page = {
  path: string;
  title: string;
  load: () => Promise<{ default: ComponentType }>;
  /** Where it stands in the rail; none where another page leads to it. */
  rail?: { section: Section; icon: Icon };
  /** The least role that can use it. */
  least?: Role;
};

/** Icons of pages to come, so that the rail stays of one hand. */
export const icons = {
  alarms: IconBell, audit: IconHistory, certificates: IconCertificate, devices: IconDevices, groups: IconSitemap,
  host: IconCpu, jobs: IconListCheck, onboard: IconPlus, overview: IconLayoutDashboard, services: IconStack2,
  settings: IconAdjustments, tokens: IconKey, users: IconUsers, whitelist: IconShieldCheck,
}; // biome-ignore format: names alone

/** Every page, in the order of the rail. A page's module has it as its default export, and is loaded when it is opened. */
export const pages: readonly Page[] = [
  {
    path: '/',
    title: text.pages.overview,
    load: () => import('../features/overview/OverviewPage'),
    rail: { section: 'fleet', icon: icons.overview },
  },
];
