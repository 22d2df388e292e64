// SPDX-License-Identifier: Apache-2.0

/** Where to connect for a URL of scheme, host and port, as `connect` wants it: an IPv6 address without its brackets. */
export function addressOf(
  url: string,
  defaultPort: number,
): { readonly host: string; readonly port: number } {
  const { hostname, port } = new URL(url);
  return { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: port === '' ? defaultPort : Number(port) };
}
