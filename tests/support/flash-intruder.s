// SPDX-License-Identifier: Apache-2.0
//
// What stands in U-Boot's place here tries to read and to write the flash, at each address behind it (64 bits each, the last one is all
// ones), and says what comes of it. It runs with the highest privileges that the normal world has.
.section .text
.global _start
_start:
  adr x0, vectors
  msr vbar_el1, x0
  isb
  ldr x19, =0x09000000      // PL011
  adr x20, addresses
next:
  ldr x21, [x20], #8
  cmn x21, #1
  b.eq done
  adr x0, reads
  bl try
  adr x22, 1f
  ldr w23, [x21]
  bl answered
1:
  cbnz x22, 2f
  bl refused
2:
  adr x0, writes
  bl try
  adr x22, 3f
  ldr w23, =0x00900090      // Intel's "read identifier", for two chips of 16 bits: it changes nothing.
  str w23, [x21]
  ldr w23, [x21]
  bl answered
3:
  cbnz x22, next
  bl refused
  b next
done:
  adr x0, end
  bl print
  b .

// x22: where to go on after an exception, which leaves 0 in it.
.align 11
vectors:
.skip 0x200                 // "Current level, its own stack", synchronous
  msr elr_el1, x22
  mov x22, #0
  eret

.align 4
try:
  mov x25, x30
  bl print
  mov w24, w21
  bl hex
  ret x25
answered:
  mov x25, x30
  adr x0, answers
  bl print
  mov w24, w23
  bl hex
  adr x0, newline
  bl print
  ret x25
refused:
  mov x25, x30
  adr x0, refusal
  bl print
  ret x25
hex:
  mov x26, x30
  mov x5, #28
digit:
  lsr w2, w24, w5
  and w2, w2, #15
  add w2, w2, #'0'
  cmp w2, #'9'
  b.ls 4f
  add w2, w2, #39
4:
  bl put
  subs x5, x5, #4
  b.ge digit
  ret x26
print:
  mov x7, x30
5:
  ldrb w2, [x0], #1
  cbz w2, 6f
  bl put
  b 5b
6:
  ret x7
put:
  ldr w6, [x19, #0x18]      // UARTFR
  tbnz w6, #5, put          // TXFF
  str w2, [x19]
  ret
reads: .asciz "intruder: read "
writes: .asciz "intruder: write "
answers: .asciz " answers "
refusal: .asciz " refused\n"
newline: .asciz "\n"
end: .asciz "intruder: end\n"
.ltorg
.align 3
addresses:
