// SPDX-License-Identifier: Apache-2.0
//
// What stands in OP-TEE's or U-Boot's place here makes calls to BL31, one for each entry behind it (four numbers of 64 bits: the function,
// x1, x2, x3), and says what comes back. Behind the code: a letter for the lines; the entries; all ones; the call with which OP-TEE goes on,
// or 0. Function 1 fills x2 words from x1 with x3; function 2 reads a word at x1.
.section .text
.global _start
_start:
  ldr x19, =0x09000000      // PL011
  adr x20, letter
  ldr w21, [x20], #8
next:
  ldp x0, x1, [x20], #16
  cmn x0, #1
  b.eq done
  ldp x2, x3, [x20], #16
  mov x22, x0
  cmp x0, #1
  b.eq fill
  cmp x0, #2
  b.eq peek
  smc #0
say:
  mov x23, x0
  mov x24, x1
  mov x25, x2
  mov w2, w21
  bl put
  mov w2, #' '
  bl put
  mov x4, x22
  bl hex
  mov x4, x23
  bl hex
  mov x4, x24
  bl hex
  mov x4, x25
  bl hex
  mov w2, #'\n'
  bl put
  b next
fill:
  str w3, [x1], #4
  subs x2, x2, #1
  b.ne fill
  b next
peek:
  ldr w1, [x1]
  mov x0, #0
  mov x2, #0
  b say
done:
  mov w2, w21
  bl put
  mov w2, #'.'
  bl put
  mov w2, #'\n'
  bl put
  mov x0, x1
  cbz x0, .
  adr x1, vectors
  smc #0
  b .

// x4, sixteen digits and a space.
hex:
  mov x26, x30
  mov x5, #60
digit:
  lsr x2, x4, x5
  and w2, w2, #15
  add w2, w2, #'0'
  cmp w2, #'9'
  b.ls 1f
  add w2, w2, #39
1:
  bl put
  subs x5, x5, #4
  b.ge digit
  mov w2, #' '
  bl put
  ret x26
put:
  ldr w6, [x19, #0x18]      // UARTFR
  tbnz w6, #5, put          // TXFF
  str w2, [x19]
  ret

// Where TF-A's dispatcher would enter OP-TEE again: nobody asks it for anything here.
vectors:
.rept 9
  b .
.endr
.ltorg
.align 3
letter:
