// Pure: figures as text, and as points of a curve.

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

/** A number as people read it. */
export function count(value) {
  return Number.isInteger(value) ? value.toLocaleString("en") : value.toFixed(1);
}

/** Bytes with a unit, of which there are a thousand in the next. */
export function bytes(value) {
  let unit = 0;
  while (value >= 1_000 && unit < UNITS.length - 1) {
    value /= 1_000;
    unit += 1;
  }
  return `${unit === 0 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** Seconds, in the two largest units. */
export function duration(seconds) {
  const parts = [];
  for (const [name, size] of [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]]) {
    if (seconds >= size || (parts.length === 0 && size === 1)) parts.push(`${Math.floor(seconds / size)} ${name}`);
    seconds %= size;
  }
  return parts.slice(0, 2).join(" ");
}

/** How quickly a total grew from each sample to the next, in so many seconds: pairs of time and rate. */
export function rates(samples, total, seconds) {
  const rates = [];
  for (let next = 1; next < samples.length; next += 1) {
    const [before, after] = [samples[next - 1], samples[next]];
    const time = after.at - before.at;
    if (time > 0) rates.push([after.at, ((after[total] - before[total]) * seconds) / time]);
  }
  return rates;
}

/** The points of a curve through pairs of time and value, as SVG has them. What is older than the box is left out. */
export function points(values, { width, height, from, to, top }) {
  const seen = values.filter(([time]) => time >= from && time <= to);
  const x = (time) => ((time - from) / (to - from)) * width;
  const y = (value) => height - (top > 0 ? value / top : 0) * height;
  return seen.map(([time, value]) => `${x(time).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
}
