import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connectionsWithin, maxConnections } from './limits.ts';

const limits = (soft: string, hard: string): string =>
  `Limit                     Soft Limit           Hard Limit           Units     \nMax open files            ${soft}                ${hard}                files     \n`;

test('connectionsWithin() allows two descriptors a connection of what the hard limit leaves', () => {
  assert.equal(connectionsWithin(limits('1024', '20000')), 9500);
  assert.equal(connectionsWithin(limits('1024', '1048576')), 50_000);
  assert.equal(connectionsWithin(limits('1024', 'unlimited')), 50_000);
  assert.equal(connectionsWithin(limits('256', '256')), 1000);
  assert.equal(connectionsWithin('nothing of use'), 50_000);
});

test('maxConnections() reads this process’s limits', async () => {
  const most = await maxConnections();
  assert.ok(most >= 1000 && most <= 50_000);
});
