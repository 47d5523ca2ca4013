import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CommanderError } from 'commander';
import { TrysailError } from '../lib/errors.ts';
import { EXIT, exitCodeOf } from './exit-codes.ts';
import { errorText } from './report-error.ts';

test('an error for people is told with its remedy and without a stack', () => {
  const error = new TrysailError('CA_EXISTS', 'there is a CA in /ca', { remedy: 'Choose another folder.' });
  assert.equal(errorText(error), 'trysail: there is a CA in /ca.\n  Choose another folder.\n');
  assert.equal(exitCodeOf(error), EXIT.failed);
});

test('anything else is a defect, told with a stack', () => {
  const text = errorText(new TypeError('x is undefined'));
  assert.match(
    text,
    /^trysail: this is a defect of Trysail \d+\.\d+\.\d+ \(Node v[\d.]+\), not a mistake of yours\.\n/,
  );
  assert.match(text, /TypeError: x is undefined\n\s+at /);
  assert.equal(exitCodeOf(new TypeError('x')), EXIT.defect);
  assert.equal(exitCodeOf('thrown'), EXIT.defect);
});

test('exit codes follow the kind of error', () => {
  const codes = ['AGENT_NOT_RUNNING', 'AGENT_FORBIDDEN', 'CONFIGURATION_INVALID'].map((code) =>
    exitCodeOf(new TrysailError(code, '')),
  );
  assert.deepEqual(codes, [EXIT.agentNotRunning, EXIT.forbidden, EXIT.invalidConfiguration]);
  assert.equal(exitCodeOf(new CommanderError(1, 'commander.unknownCommand', '')), EXIT.usage);
  assert.equal(exitCodeOf(new CommanderError(0, 'commander.help', '')), EXIT.ok);
});
