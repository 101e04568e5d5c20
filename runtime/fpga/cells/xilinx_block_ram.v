// SPDX-License-Identifier: Apache-2.0
// What the block RAMs of Xilinx' 7 series and of UltraScale+ do alike: the inside of their models.
//
// As the families' documents describe them, in the ways of use that Yosys maps to; a parameter
// beyond those ends the simulation.

// BYTES bytes of nine bits, the ninth for parity, behind two ports of PORT_BYTES bytes; as "SDP", A
// reads and B writes up to twice as many. Addresses count bits without parity. The reading latch
// has no register behind it.
module xilinx_block_ram #(
  parameter BYTES = 2048,
  parameter PORT_BYTES = 2,
  parameter RAM_MODE = "TDP",
  parameter integer READ_WIDTH_A = 0,
  parameter integer READ_WIDTH_B = 0,
  parameter integer WRITE_WIDTH_A = 0,
  parameter integer WRITE_WIDTH_B = 0,
  parameter WRITE_MODE_A = "WRITE_FIRST",
  parameter WRITE_MODE_B = "WRITE_FIRST",
  parameter [9*PORT_BYTES-1:0] INIT_A = 0,
  parameter [9*PORT_BYTES-1:0] INIT_B = 0,
  parameter [9*PORT_BYTES-1:0] SRVAL_A = 0,
  parameter [9*PORT_BYTES-1:0] SRVAL_B = 0,
  parameter [8*BYTES-1:0] DATA = 0,
  parameter [BYTES-1:0] PARITY = 0
) (
  input clk_a, clk_b, en_a, en_b, rst_a, rst_b,
  input [14:0] ad_a, ad_b,
  input [8*PORT_BYTES-1:0] di_a, di_b,
  input [PORT_BYTES-1:0] dip_a, dip_b, we_a,
  input [2*PORT_BYTES-1:0] we_b,
  output [8*PORT_BYTES-1:0] do_a, do_b,
  output [PORT_BYTES-1:0] dop_a, dop_b
);
  localparam WIDE = 2 * PORT_BYTES;
  localparam IS_SDP = RAM_MODE == "SDP";
  localparam MOST = 9 * (IS_SDP ? WIDE : PORT_BYTES);
  localparam IS_WIDE_READ = READ_WIDTH_A > 9 * PORT_BYTES;
  localparam IS_WIDE_WRITE = WRITE_WIDTH_B > 9 * PORT_BYTES;

  function is_width(input integer width);
    is_width = width == 0 || width == 1 || width == 2 || width == 4 || width == 9 || width == 18
               || (width == 36 && MOST >= 36) || (width == 72 && MOST == 72);
  endfunction
  function is_mode(input [8*11-1:0] mode);
    is_mode = mode == "WRITE_FIRST" || mode == "READ_FIRST" || mode == "NO_CHANGE";
  endfunction
  initial begin
    if (RAM_MODE != "TDP" && !IS_SDP) $fatal(1, "%m: RAM_MODE must be TDP or SDP");
    if (!is_width(READ_WIDTH_A) || !is_width(READ_WIDTH_B) || !is_width(WRITE_WIDTH_A)
        || !is_width(WRITE_WIDTH_B))
      $fatal(1, "%m: widths must be 0, 1, 2, 4, 9 or more bytes up to %0d, got %0d, %0d, %0d, %0d",
             MOST, READ_WIDTH_A, READ_WIDTH_B, WRITE_WIDTH_A, WRITE_WIDTH_B);
    if (IS_SDP && (READ_WIDTH_B != 0 || WRITE_WIDTH_A != 0))
      $fatal(1, "%m: as SDP, port A must read and port B must write");
    if (!is_mode(WRITE_MODE_A) || !is_mode(WRITE_MODE_B))
      $fatal(1, "%m: write modes must be WRITE_FIRST, READ_FIRST or NO_CHANGE");
  end

  // Bytes of a word, the first of them in the memory, and the lowest bit of a word below a byte.
  function integer n_bytes(input integer width);
    n_bytes = width == 0 ? 0 : width < 9 ? 1 : width / 9;
  endfunction
  function integer start(input [14:0] at, input integer width);
    start = width < 9 ? at[14:3] : at[14:3] / (width / 9) * (width / 9);
  endfunction
  function integer place(input [14:0] at, input integer width);
    place = width == 0 ? 0 : at[2:0] / width * width;
  endfunction

  // Byte j of the memory, now `old`, after a port has written `word` at `at`.
  function [8:0] written(input [8:0] old, input integer j, input [14:0] at, input [71:0] word,
                         input [7:0] enables, input integer width);
    integer n;
    reg [7:0] mask;
    begin
      written = old;
      n = j - start(at, width);
      if (n >= 0 && n < n_bytes(width) && enables[n[2:0]]) begin
        mask = ((1 << width) - 1) << place(at, width);
        if (width >= 9) written = word >> (9 * n);
        else written[7:0] = (old[7:0] & ~mask) | ((word[7:0] << place(at, width)) & mask);
      end
    end
  endfunction

  // Bytes of nine bits from a cell's pins, which have parity above the data of a word of n bytes.
  function [71:0] from_pins(input [71:0] pins, input integer n);
    integer k;
    begin
      from_pins = 0;
      for (k = 0; k < 8; k = k + 1)
        if (k < n) from_pins = from_pins | ({63'h0, pins[8*n+k], pins[8*k +: 8]} << (9 * k));
    end
  endfunction

  // A latch's value by the parameter for it; of a wide word B has the upper half.
  function [71:0] latched(input [71:0] low, input [71:0] high, input integer width);
    if (width < 9) latched = low & ((72'h1 << width) - 1);
    else if (width > 9 * PORT_BYTES)
      latched = from_pins(low, PORT_BYTES) | (from_pins(high, PORT_BYTES) << (9 * PORT_BYTES));
    else latched = from_pins(low, width / 9);
  endfunction

  reg [8:0] bytes [0:BYTES-1];
  // Variables, since Icarus makes a constant of so many bits anew for every look at it.
  reg [8*BYTES-1:0] data;
  reg [BYTES-1:0] parity;
  reg [71:0] latch_a, latch_b, word_a, word_b;
  integer i;
  initial begin
    data = DATA;
    parity = PARITY;
    for (i = 0; i < BYTES; i = i + 1) bytes[i] = {parity[i], data[8*i +: 8]};
    latch_a = latched(INIT_A, INIT_B, READ_WIDTH_A);
    latch_b = latched(INIT_B, 72'h0, READ_WIDTH_B);
  end

  wire [71:0] in_a = from_pins({dip_a, di_a}, PORT_BYTES);
  wire [71:0] in_b =
    IS_WIDE_WRITE ? in_a | (from_pins({dip_b, di_b}, PORT_BYTES) << (9 * PORT_BYTES))
                  : from_pins({dip_b, di_b}, PORT_BYTES);

  integer a, j;
  always @(posedge clk_a)
    if (en_a) begin
      word_a = 0;
      for (a = 0; a < 8; a = a + 1) begin
        j = start(ad_a, READ_WIDTH_A) + a;
        if (a < n_bytes(READ_WIDTH_A))
          word_a = word_a | ({63'h0, WRITE_MODE_A == "WRITE_FIRST"
                  ? written(bytes[j], j, ad_a, in_a, we_a, WRITE_WIDTH_A) : bytes[j]} << (9 * a));
        j = start(ad_a, WRITE_WIDTH_A) + a;
        if (a < n_bytes(WRITE_WIDTH_A) && we_a[a])
          bytes[j] <= written(bytes[j], j, ad_a, in_a, we_a, WRITE_WIDTH_A);
      end
      if (READ_WIDTH_A < 9)
        word_a = (word_a >> place(ad_a, READ_WIDTH_A)) & ((72'h1 << READ_WIDTH_A) - 1);
      if (rst_a) latch_a <= latched(SRVAL_A, SRVAL_B, READ_WIDTH_A);
      else if (WRITE_WIDTH_A == 0 || we_a == 0 || WRITE_MODE_A != "NO_CHANGE") latch_a <= word_a;
    end

  integer b, k;
  always @(posedge clk_b)
    if (en_b) begin
      word_b = 0;
      for (b = 0; b < 8; b = b + 1) begin
        k = start(ad_b, READ_WIDTH_B) + b;
        if (b < n_bytes(READ_WIDTH_B))
          word_b = word_b | ({63'h0, WRITE_MODE_B == "WRITE_FIRST"
                  ? written(bytes[k], k, ad_b, in_b, we_b, WRITE_WIDTH_B) : bytes[k]} << (9 * b));
        k = start(ad_b, WRITE_WIDTH_B) + b;
        if (b < n_bytes(WRITE_WIDTH_B) && we_b[b])
          bytes[k] <= written(bytes[k], k, ad_b, in_b, we_b, WRITE_WIDTH_B);
      end
      if (READ_WIDTH_B < 9)
        word_b = (word_b >> place(ad_b, READ_WIDTH_B)) & ((72'h1 << READ_WIDTH_B) - 1);
      if (rst_b) latch_b <= latched(SRVAL_B, 72'h0, READ_WIDTH_B);
      else if (WRITE_WIDTH_B == 0 || we_b == 0 || WRITE_MODE_B != "NO_CHANGE") latch_b <= word_b;
    end

  wire [71:0] out_b = IS_WIDE_READ ? latch_a >> (9 * PORT_BYTES) : latch_b;
  genvar n;
  generate
    for (n = 0; n < PORT_BYTES; n = n + 1) begin : pins
      assign do_a[8*n +: 8] = latch_a[9*n +: 8];
      assign dop_a[n] = latch_a[9*n + 8];
      assign do_b[8*n +: 8] = out_b[9*n +: 8];
      assign dop_b[n] = out_b[9*n + 8];
    end
  endgenerate
endmodule
