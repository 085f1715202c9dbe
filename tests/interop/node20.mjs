// What js-libp2p takes for granted and Node.js 20 lacks. To be imported first.

Promise.withResolvers ??= function withResolvers() {
  let resolve;
  let reject;
  const promise = new this((...functions) => ([resolve, reject] = functions));
  return { promise, resolve, reject };
};
