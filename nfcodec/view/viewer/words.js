/** Numbers as the page says them. */
export const sizeText = (n) => (n < 1000 ? `${n} B` : n < 1e6 ? `${(n / 1e3).toPrecision(n < 1e4 ? 2 : 3)} KB` : `${(n / 1e6).toPrecision(3)} MB`);
export const times = (numbers) => numbers.join(" × ");
export const counted = (n, name) => `${n} ${name}${n === 1 ? "" : "s"}`;
