import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { assert as assertProperty, double, integer, property } from 'fast-check';
import { binomialBounds, countBy, figuresOf, quantile } from '../../demo/load/figures.ts';

describe('binomialBounds', () => {
  it('knows the tails of ten fair coins', () => {
    // P(0) = 1/1024, P(≤ 1) = 11/1024.
    assert.deepEqual(binomialBounds(10, 0.5, 1 / 2000), { low: 0, high: 10 });
    assert.deepEqual(binomialBounds(10, 0.5, 1 / 1000), { low: 1, high: 9 });
    assert.deepEqual(binomialBounds(10, 0.5, 11 / 1000), { low: 2, high: 8 });
  });

  it('leaves no room where there is no chance', () => {
    assert.deepEqual(binomialBounds(500, 0), { low: 0, high: 0 });
    assert.deepEqual(binomialBounds(500, 1), { low: 500, high: 500 });
  });

  it('is as wide as a normal distribution says for many requests', () => {
    const { low, high } = binomialBounds(800, 0.1);
    // 6.36 standard deviations of 8.49 either side of 80; the binomial leans to the right.
    assert.ok(low >= 26 && low <= 36, `low ${low}`);
    assert.ok(high >= 134 && high <= 144, `high ${high}`);
  });

  it('contains the mean, is symmetric in p and survives large counts', () => {
    assertProperty(
      property(integer({ min: 1, max: 20_000 }), double({ min: 0.01, max: 0.99, noNaN: true }), (n, p) => {
        const { low, high } = binomialBounds(n, p);
        assert.ok(low <= n * p && n * p <= high, `${low} ${n * p} ${high}`);
        const mirrored = binomialBounds(n, 1 - p);
        assert.ok(Math.abs(mirrored.low - (n - high)) <= 1 && Math.abs(mirrored.high - (n - low)) <= 1);
      }),
      { numRuns: 50, seed: 20_260_101 },
    );
  });
});

describe('figuresOf', () => {
  it('counts failures by reason and takes latency from successes only', () => {
    const figures = figuresOf([
      { at: 1, ms: 1 },
      { at: 2, ms: 3 },
      { at: 3, ms: 900, failure: 'reset' },
      { at: 4, ms: 900, failure: '503' },
      { at: 5, ms: 900, failure: 'reset' },
    ]);
    assert.deepEqual(figures, {
      requests: 5,
      failures: 3,
      reasons: [
        { reason: 'reset', count: 2, fromS: 0.002, toS: 0.004 },
        { reason: '503', count: 1, fromS: 0.003, toS: 0.003 },
      ],
      p50Ms: 1,
      p99Ms: 3,
      maxMs: 3,
    });
  });

  it('survives having no samples', () => {
    assert.deepEqual(figuresOf([]), { requests: 0, failures: 0, reasons: [], p50Ms: 0, p99Ms: 0, maxMs: 0 });
  });
});

it('quantile takes a value that is there', () => {
  const values = Array.from({ length: 100 }, (_, index) => index + 1);
  assert.equal(quantile(values, 0.5), 50);
  assert.equal(quantile(values, 0.99), 99);
  assert.equal(quantile(values, 1), 100);
  assert.equal(quantile([], 0.5), 0);
});

it('countBy leaves out what has no key', () => {
  const samples = [
    { at: 0, ms: 0, reviews: 'v3' },
    { at: 0, ms: 0, reviews: 'v1' },
    { at: 0, ms: 0 },
  ];
  assert.deepEqual(
    countBy(samples, (sample) => sample.reviews),
    [
      ['v1', 1],
      ['v3', 1],
    ],
  );
});
