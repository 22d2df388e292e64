// SPDX-License-Identifier: Apache-2.0
import { createPublicKey } from 'node:crypto';
import { MblError } from '@mbl/trust';

/**
 * The control device tree's `/signature` node, in source form: the one key that U-Boot requires of every configuration
 * (U-Boot `doc/usage/fit/signature.rst`, `lib/rsa/rsa-mod-exp.c` for the numbers). `publicKey` is PEM, RSA.
 */
export function requiredKeyNode(publicKey: string): string {
  const { n, e } = createPublicKey(publicKey).export({ format: 'jwk' });
  if (n === undefined || e === undefined)
    throw new MblError('builder/fit-key', 'the FIT key is not an RSA key');
  const modulus = toBigInt(n);
  const bits = modulus.toString(2).length;
  const rSquared = (1n << BigInt(bits * 2)) % modulus;
  return `
/ {
  signature {
    key-fit {
      required = "conf";
      algo = "sha256,rsa${bits}";
      key-name-hint = "fit";
      rsa,num-bits = <${bits}>;
      rsa,n0-inverse = <${negativeInverse(modulus)}>;
      rsa,exponent = <${cells(toBigInt(e), 2)}>;
      rsa,modulus = <${cells(modulus, bits / 32)}>;
      rsa,r-squared = <${cells(rSquared, bits / 32)}>;
    };
  };
};
`;
}

function toBigInt(base64url: string): bigint {
  return BigInt(`0x${Buffer.from(base64url, 'base64url').toString('hex')}`);
}

/** -1 / n modulo 2^32, by Newton's iteration: each round doubles the number of right bits. */
function negativeInverse(n: bigint): string {
  const mask = (1n << 32n) - 1n;
  let inverse = 1n;
  for (let round = 0; round < 5; round++) inverse = (inverse * (2n - n * inverse)) & mask;
  return `0x${((1n << 32n) - (inverse & mask)).toString(16)}`;
}

/** Big-endian 32-bit cells. */
function cells(value: bigint, count: number): string {
  const hex = value.toString(16).padStart(count * 8, '0');
  return (hex.match(/.{8}/g) ?? []).map((cell) => `0x${cell}`).join(' ');
}
