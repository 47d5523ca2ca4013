/** One line of Envoy's log, in the format that we tell Envoy to write. */

/** Time, level, component and message, separated by blanks: none of the first three can hold one. */
export const LOG_FORMAT = '%Y-%m-%dT%T.%e%z %l %n %v';

const LINE = /^\d{4}-\S+ (?<level>[a-z]+) (?<component>\S+) (?<message>.*)$/;

export interface LogLine {
  /** As our own logs have it. */
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  /** Envoy's logger, such as `upstream`; empty for text that Envoy wrote outside of its log. */
  readonly component: string;
  readonly message: string;
}

const LEVELS: Readonly<Record<string, LogLine['level']>> = {
  trace: 'debug',
  debug: 'debug',
  info: 'info',
  warning: 'warn',
  error: 'error',
  critical: 'error',
};

/** What Envoy 1.40 warns of at each start with tag rules of one's own, without a cause. */
const HARMLESS = /^Skipping duplicate tag for/;

/** Any text is a line: what does not follow the format is a message of level `warn`. */
export function parseLogLine(text: string): LogLine {
  const groups = LINE.exec(text)?.groups ?? {};
  const level = LEVELS[groups['level'] ?? ''];
  if (level === undefined) return { level: 'warn', component: '', message: text };
  const { component = '', message = '' } = groups;
  return { level: HARMLESS.test(message) ? 'debug' : level, component, message };
}
