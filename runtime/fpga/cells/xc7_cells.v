// SPDX-License-Identifier: Apache-2.0
// Simulation models of the block RAMs of Xilinx' 7 series, of which Yosys has ports and delays alone.
//
// As the family's documents describe them, in the ways of use that Yosys maps to; a parameter
// beyond those ends the simulation.

// BYTES bytes of nine bits, the ninth for parity, behind two ports of PORT_BYTES bytes; as "SDP", A
// reads and B writes up to twice as many. Addresses count bits without parity. The reading latch
// has no register behind it.
module xc7_block_ram #(
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

module RAMB18E1(
  input CLKARDCLK, CLKBWRCLK, ENARDEN, ENBWREN, REGCEAREGCE, REGCEB,
  input RSTRAMARSTRAM, RSTRAMB, RSTREGARSTREG, RSTREGB,
  input [13:0] ADDRARDADDR, ADDRBWRADDR,
  input [15:0] DIADI, DIBDI,
  input [1:0] DIPADIP, DIPBDIP,
  input [1:0] WEA,
  input [3:0] WEBWE,
  output [15:0] DOADO, DOBDO,
  output [1:0] DOPADOP, DOPBDOP
);
  parameter integer DOA_REG = 0;
  parameter integer DOB_REG = 0;
  parameter RAM_MODE = "TDP";
  parameter integer READ_WIDTH_A = 0;
  parameter integer READ_WIDTH_B = 0;
  parameter integer WRITE_WIDTH_A = 0;
  parameter integer WRITE_WIDTH_B = 0;
  parameter WRITE_MODE_A = "WRITE_FIRST";
  parameter WRITE_MODE_B = "WRITE_FIRST";
  parameter [17:0] INIT_A = 0;
  parameter [17:0] INIT_B = 0;
  parameter [17:0] SRVAL_A = 0;
  parameter [17:0] SRVAL_B = 0;
  parameter IS_CLKARDCLK_INVERTED = 1'b0;
  parameter IS_CLKBWRCLK_INVERTED = 1'b0;
  parameter IS_ENARDEN_INVERTED = 1'b0;
  parameter IS_ENBWREN_INVERTED = 1'b0;
  parameter IS_RSTRAMARSTRAM_INVERTED = 1'b0;
  parameter IS_RSTRAMB_INVERTED = 1'b0;
  parameter [255:0]
    INIT_00 = 256'h0, INIT_01 = 256'h0, INIT_02 = 256'h0, INIT_03 = 256'h0,
    INIT_04 = 256'h0, INIT_05 = 256'h0, INIT_06 = 256'h0, INIT_07 = 256'h0,
    INIT_08 = 256'h0, INIT_09 = 256'h0, INIT_0A = 256'h0, INIT_0B = 256'h0,
    INIT_0C = 256'h0, INIT_0D = 256'h0, INIT_0E = 256'h0, INIT_0F = 256'h0,
    INIT_10 = 256'h0, INIT_11 = 256'h0, INIT_12 = 256'h0, INIT_13 = 256'h0,
    INIT_14 = 256'h0, INIT_15 = 256'h0, INIT_16 = 256'h0, INIT_17 = 256'h0,
    INIT_18 = 256'h0, INIT_19 = 256'h0, INIT_1A = 256'h0, INIT_1B = 256'h0,
    INIT_1C = 256'h0, INIT_1D = 256'h0, INIT_1E = 256'h0, INIT_1F = 256'h0,
    INIT_20 = 256'h0, INIT_21 = 256'h0, INIT_22 = 256'h0, INIT_23 = 256'h0,
    INIT_24 = 256'h0, INIT_25 = 256'h0, INIT_26 = 256'h0, INIT_27 = 256'h0,
    INIT_28 = 256'h0, INIT_29 = 256'h0, INIT_2A = 256'h0, INIT_2B = 256'h0,
    INIT_2C = 256'h0, INIT_2D = 256'h0, INIT_2E = 256'h0, INIT_2F = 256'h0,
    INIT_30 = 256'h0, INIT_31 = 256'h0, INIT_32 = 256'h0, INIT_33 = 256'h0,
    INIT_34 = 256'h0, INIT_35 = 256'h0, INIT_36 = 256'h0, INIT_37 = 256'h0,
    INIT_38 = 256'h0, INIT_39 = 256'h0, INIT_3A = 256'h0, INIT_3B = 256'h0,
    INIT_3C = 256'h0, INIT_3D = 256'h0, INIT_3E = 256'h0, INIT_3F = 256'h0,
    INITP_00 = 256'h0, INITP_01 = 256'h0, INITP_02 = 256'h0, INITP_03 = 256'h0,
    INITP_04 = 256'h0, INITP_05 = 256'h0, INITP_06 = 256'h0, INITP_07 = 256'h0;

  initial begin
    if (DOA_REG != 0 || DOB_REG != 0) $fatal(1, "RAMB18E1 %m: must be without output registers");
    if (IS_CLKARDCLK_INVERTED || IS_CLKBWRCLK_INVERTED)
      $fatal(1, "RAMB18E1 %m: clocks must not be inverted");
  end
  xc7_block_ram #(
    .BYTES(2048), .PORT_BYTES(2), .RAM_MODE(RAM_MODE),
    .READ_WIDTH_A(READ_WIDTH_A), .READ_WIDTH_B(READ_WIDTH_B),
    .WRITE_WIDTH_A(WRITE_WIDTH_A), .WRITE_WIDTH_B(WRITE_WIDTH_B),
    .WRITE_MODE_A(WRITE_MODE_A), .WRITE_MODE_B(WRITE_MODE_B),
    .INIT_A(INIT_A), .INIT_B(INIT_B), .SRVAL_A(SRVAL_A), .SRVAL_B(SRVAL_B),
    .DATA({
      INIT_3F, INIT_3E, INIT_3D, INIT_3C, INIT_3B, INIT_3A, INIT_39, INIT_38,
      INIT_37, INIT_36, INIT_35, INIT_34, INIT_33, INIT_32, INIT_31, INIT_30,
      INIT_2F, INIT_2E, INIT_2D, INIT_2C, INIT_2B, INIT_2A, INIT_29, INIT_28,
      INIT_27, INIT_26, INIT_25, INIT_24, INIT_23, INIT_22, INIT_21, INIT_20,
      INIT_1F, INIT_1E, INIT_1D, INIT_1C, INIT_1B, INIT_1A, INIT_19, INIT_18,
      INIT_17, INIT_16, INIT_15, INIT_14, INIT_13, INIT_12, INIT_11, INIT_10,
      INIT_0F, INIT_0E, INIT_0D, INIT_0C, INIT_0B, INIT_0A, INIT_09, INIT_08,
      INIT_07, INIT_06, INIT_05, INIT_04, INIT_03, INIT_02, INIT_01, INIT_00}),
    .PARITY({
      INITP_07, INITP_06, INITP_05, INITP_04, INITP_03, INITP_02, INITP_01, INITP_00})
  ) ram (
    .clk_a(CLKARDCLK), .clk_b(CLKBWRCLK),
    .en_a(ENARDEN ^ IS_ENARDEN_INVERTED), .en_b(ENBWREN ^ IS_ENBWREN_INVERTED),
    .rst_a(RSTRAMARSTRAM ^ IS_RSTRAMARSTRAM_INVERTED), .rst_b(RSTRAMB ^ IS_RSTRAMB_INVERTED),
    .ad_a({1'b0, ADDRARDADDR}), .ad_b({1'b0, ADDRBWRADDR}),
    .di_a(DIADI), .di_b(DIBDI), .dip_a(DIPADIP), .dip_b(DIPBDIP), .we_a(WEA), .we_b(WEBWE),
    .do_a(DOADO), .do_b(DOBDO), .dop_a(DOPADOP), .dop_b(DOPBDOP));
endmodule

module RAMB36E1(
  input CLKARDCLK, CLKBWRCLK, ENARDEN, ENBWREN, REGCEAREGCE, REGCEB,
  input RSTRAMARSTRAM, RSTRAMB, RSTREGARSTREG, RSTREGB,
  input CASCADEINA, CASCADEINB, INJECTDBITERR, INJECTSBITERR,
  input [15:0] ADDRARDADDR, ADDRBWRADDR,
  input [31:0] DIADI, DIBDI,
  input [3:0] DIPADIP, DIPBDIP,
  input [3:0] WEA,
  input [7:0] WEBWE,
  output CASCADEOUTA, CASCADEOUTB, DBITERR, SBITERR,
  output [7:0] ECCPARITY,
  output [8:0] RDADDRECC,
  output [31:0] DOADO, DOBDO,
  output [3:0] DOPADOP, DOPBDOP
);
  parameter integer DOA_REG = 0;
  parameter integer DOB_REG = 0;
  parameter RAM_MODE = "TDP";
  parameter integer READ_WIDTH_A = 0;
  parameter integer READ_WIDTH_B = 0;
  parameter integer WRITE_WIDTH_A = 0;
  parameter integer WRITE_WIDTH_B = 0;
  parameter WRITE_MODE_A = "WRITE_FIRST";
  parameter WRITE_MODE_B = "WRITE_FIRST";
  parameter [35:0] INIT_A = 0;
  parameter [35:0] INIT_B = 0;
  parameter [35:0] SRVAL_A = 0;
  parameter [35:0] SRVAL_B = 0;
  parameter IS_CLKARDCLK_INVERTED = 1'b0;
  parameter IS_CLKBWRCLK_INVERTED = 1'b0;
  parameter IS_ENARDEN_INVERTED = 1'b0;
  parameter IS_ENBWREN_INVERTED = 1'b0;
  parameter IS_RSTRAMARSTRAM_INVERTED = 1'b0;
  parameter IS_RSTRAMB_INVERTED = 1'b0;
  parameter RAM_EXTENSION_A = "NONE";
  parameter RAM_EXTENSION_B = "NONE";
  parameter EN_ECC_READ = "FALSE";
  parameter EN_ECC_WRITE = "FALSE";
  parameter [255:0]
    INIT_00 = 256'h0, INIT_01 = 256'h0, INIT_02 = 256'h0, INIT_03 = 256'h0,
    INIT_04 = 256'h0, INIT_05 = 256'h0, INIT_06 = 256'h0, INIT_07 = 256'h0,
    INIT_08 = 256'h0, INIT_09 = 256'h0, INIT_0A = 256'h0, INIT_0B = 256'h0,
    INIT_0C = 256'h0, INIT_0D = 256'h0, INIT_0E = 256'h0, INIT_0F = 256'h0,
    INIT_10 = 256'h0, INIT_11 = 256'h0, INIT_12 = 256'h0, INIT_13 = 256'h0,
    INIT_14 = 256'h0, INIT_15 = 256'h0, INIT_16 = 256'h0, INIT_17 = 256'h0,
    INIT_18 = 256'h0, INIT_19 = 256'h0, INIT_1A = 256'h0, INIT_1B = 256'h0,
    INIT_1C = 256'h0, INIT_1D = 256'h0, INIT_1E = 256'h0, INIT_1F = 256'h0,
    INIT_20 = 256'h0, INIT_21 = 256'h0, INIT_22 = 256'h0, INIT_23 = 256'h0,
    INIT_24 = 256'h0, INIT_25 = 256'h0, INIT_26 = 256'h0, INIT_27 = 256'h0,
    INIT_28 = 256'h0, INIT_29 = 256'h0, INIT_2A = 256'h0, INIT_2B = 256'h0,
    INIT_2C = 256'h0, INIT_2D = 256'h0, INIT_2E = 256'h0, INIT_2F = 256'h0,
    INIT_30 = 256'h0, INIT_31 = 256'h0, INIT_32 = 256'h0, INIT_33 = 256'h0,
    INIT_34 = 256'h0, INIT_35 = 256'h0, INIT_36 = 256'h0, INIT_37 = 256'h0,
    INIT_38 = 256'h0, INIT_39 = 256'h0, INIT_3A = 256'h0, INIT_3B = 256'h0,
    INIT_3C = 256'h0, INIT_3D = 256'h0, INIT_3E = 256'h0, INIT_3F = 256'h0,
    INIT_40 = 256'h0, INIT_41 = 256'h0, INIT_42 = 256'h0, INIT_43 = 256'h0,
    INIT_44 = 256'h0, INIT_45 = 256'h0, INIT_46 = 256'h0, INIT_47 = 256'h0,
    INIT_48 = 256'h0, INIT_49 = 256'h0, INIT_4A = 256'h0, INIT_4B = 256'h0,
    INIT_4C = 256'h0, INIT_4D = 256'h0, INIT_4E = 256'h0, INIT_4F = 256'h0,
    INIT_50 = 256'h0, INIT_51 = 256'h0, INIT_52 = 256'h0, INIT_53 = 256'h0,
    INIT_54 = 256'h0, INIT_55 = 256'h0, INIT_56 = 256'h0, INIT_57 = 256'h0,
    INIT_58 = 256'h0, INIT_59 = 256'h0, INIT_5A = 256'h0, INIT_5B = 256'h0,
    INIT_5C = 256'h0, INIT_5D = 256'h0, INIT_5E = 256'h0, INIT_5F = 256'h0,
    INIT_60 = 256'h0, INIT_61 = 256'h0, INIT_62 = 256'h0, INIT_63 = 256'h0,
    INIT_64 = 256'h0, INIT_65 = 256'h0, INIT_66 = 256'h0, INIT_67 = 256'h0,
    INIT_68 = 256'h0, INIT_69 = 256'h0, INIT_6A = 256'h0, INIT_6B = 256'h0,
    INIT_6C = 256'h0, INIT_6D = 256'h0, INIT_6E = 256'h0, INIT_6F = 256'h0,
    INIT_70 = 256'h0, INIT_71 = 256'h0, INIT_72 = 256'h0, INIT_73 = 256'h0,
    INIT_74 = 256'h0, INIT_75 = 256'h0, INIT_76 = 256'h0, INIT_77 = 256'h0,
    INIT_78 = 256'h0, INIT_79 = 256'h0, INIT_7A = 256'h0, INIT_7B = 256'h0,
    INIT_7C = 256'h0, INIT_7D = 256'h0, INIT_7E = 256'h0, INIT_7F = 256'h0,
    INITP_00 = 256'h0, INITP_01 = 256'h0, INITP_02 = 256'h0, INITP_03 = 256'h0,
    INITP_04 = 256'h0, INITP_05 = 256'h0, INITP_06 = 256'h0, INITP_07 = 256'h0,
    INITP_08 = 256'h0, INITP_09 = 256'h0, INITP_0A = 256'h0, INITP_0B = 256'h0,
    INITP_0C = 256'h0, INITP_0D = 256'h0, INITP_0E = 256'h0, INITP_0F = 256'h0;

  initial begin
    if (DOA_REG != 0 || DOB_REG != 0) $fatal(1, "RAMB36E1 %m: must be without output registers");
    if (IS_CLKARDCLK_INVERTED || IS_CLKBWRCLK_INVERTED)
      $fatal(1, "RAMB36E1 %m: clocks must not be inverted");
    if (RAM_EXTENSION_A != "NONE" || RAM_EXTENSION_B != "NONE")
      $fatal(1, "RAMB36E1 %m: must not be cascaded");
    if (EN_ECC_READ != "FALSE" || EN_ECC_WRITE != "FALSE")
      $fatal(1, "RAMB36E1 %m: must be without error correction");
  end
  xc7_block_ram #(
    .BYTES(4096), .PORT_BYTES(4), .RAM_MODE(RAM_MODE),
    .READ_WIDTH_A(READ_WIDTH_A), .READ_WIDTH_B(READ_WIDTH_B),
    .WRITE_WIDTH_A(WRITE_WIDTH_A), .WRITE_WIDTH_B(WRITE_WIDTH_B),
    .WRITE_MODE_A(WRITE_MODE_A), .WRITE_MODE_B(WRITE_MODE_B),
    .INIT_A(INIT_A), .INIT_B(INIT_B), .SRVAL_A(SRVAL_A), .SRVAL_B(SRVAL_B),
    .DATA({
      INIT_7F, INIT_7E, INIT_7D, INIT_7C, INIT_7B, INIT_7A, INIT_79, INIT_78,
      INIT_77, INIT_76, INIT_75, INIT_74, INIT_73, INIT_72, INIT_71, INIT_70,
      INIT_6F, INIT_6E, INIT_6D, INIT_6C, INIT_6B, INIT_6A, INIT_69, INIT_68,
      INIT_67, INIT_66, INIT_65, INIT_64, INIT_63, INIT_62, INIT_61, INIT_60,
      INIT_5F, INIT_5E, INIT_5D, INIT_5C, INIT_5B, INIT_5A, INIT_59, INIT_58,
      INIT_57, INIT_56, INIT_55, INIT_54, INIT_53, INIT_52, INIT_51, INIT_50,
      INIT_4F, INIT_4E, INIT_4D, INIT_4C, INIT_4B, INIT_4A, INIT_49, INIT_48,
      INIT_47, INIT_46, INIT_45, INIT_44, INIT_43, INIT_42, INIT_41, INIT_40,
      INIT_3F, INIT_3E, INIT_3D, INIT_3C, INIT_3B, INIT_3A, INIT_39, INIT_38,
      INIT_37, INIT_36, INIT_35, INIT_34, INIT_33, INIT_32, INIT_31, INIT_30,
      INIT_2F, INIT_2E, INIT_2D, INIT_2C, INIT_2B, INIT_2A, INIT_29, INIT_28,
      INIT_27, INIT_26, INIT_25, INIT_24, INIT_23, INIT_22, INIT_21, INIT_20,
      INIT_1F, INIT_1E, INIT_1D, INIT_1C, INIT_1B, INIT_1A, INIT_19, INIT_18,
      INIT_17, INIT_16, INIT_15, INIT_14, INIT_13, INIT_12, INIT_11, INIT_10,
      INIT_0F, INIT_0E, INIT_0D, INIT_0C, INIT_0B, INIT_0A, INIT_09, INIT_08,
      INIT_07, INIT_06, INIT_05, INIT_04, INIT_03, INIT_02, INIT_01, INIT_00}),
    .PARITY({
      INITP_0F, INITP_0E, INITP_0D, INITP_0C, INITP_0B, INITP_0A, INITP_09, INITP_08,
      INITP_07, INITP_06, INITP_05, INITP_04, INITP_03, INITP_02, INITP_01, INITP_00})
  ) ram (
    .clk_a(CLKARDCLK), .clk_b(CLKBWRCLK),
    .en_a(ENARDEN ^ IS_ENARDEN_INVERTED), .en_b(ENBWREN ^ IS_ENBWREN_INVERTED),
    .rst_a(RSTRAMARSTRAM ^ IS_RSTRAMARSTRAM_INVERTED), .rst_b(RSTRAMB ^ IS_RSTRAMB_INVERTED),
    .ad_a(ADDRARDADDR[14:0]), .ad_b(ADDRBWRADDR[14:0]),
    .di_a(DIADI), .di_b(DIBDI), .dip_a(DIPADIP), .dip_b(DIPBDIP), .we_a(WEA), .we_b(WEBWE),
    .do_a(DOADO), .do_b(DOBDO), .dop_a(DOPADOP), .dop_b(DOPBDOP));
endmodule
