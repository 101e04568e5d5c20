// SPDX-License-Identifier: Apache-2.0
// Simulation models of the ECP5's block RAM and multiplier, for which Yosys has none.
//
// As the family's documents describe them, in the ways of use that Yosys maps to; a parameter
// beyond those ends the simulation.

// 1,024 rows of 18 bits behind two ports; as one port of 36 bits (write on A, read on B) where both
// widths say so.
module DP16KD(
  input DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4,
  input DIA3, DIA2, DIA1, DIA0,
  input ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0,
  input CEA, OCEA, CLKA, WEA, RSTA, CSA2, CSA1, CSA0,
  output DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5,
  output DOA4, DOA3, DOA2, DOA1, DOA0,
  input DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4,
  input DIB3, DIB2, DIB1, DIB0,
  input ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0,
  input CEB, OCEB, CLKB, WEB, RSTB, CSB2, CSB1, CSB0,
  output DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5,
  output DOB4, DOB3, DOB2, DOB1, DOB0
);
  parameter DATA_WIDTH_A = 18;
  parameter DATA_WIDTH_B = 18;
  parameter REGMODE_A = "NOREG";
  parameter REGMODE_B = "NOREG";
  parameter RESETMODE = "SYNC";
  parameter ASYNC_RESET_RELEASE = "SYNC";
  parameter CSDECODE_A = "0b000";
  parameter CSDECODE_B = "0b000";
  parameter WRITEMODE_A = "NORMAL";
  parameter WRITEMODE_B = "NORMAL";
  parameter CLKAMUX = "CLKA";
  parameter CLKBMUX = "CLKB";
  parameter GSR = "DISABLED";
  parameter INIT_DATA = "STATIC";
  parameter [319:0] INITVAL_00 = 320'h0,
    INITVAL_01 = 320'h0,
    INITVAL_02 = 320'h0,
    INITVAL_03 = 320'h0,
    INITVAL_04 = 320'h0,
    INITVAL_05 = 320'h0,
    INITVAL_06 = 320'h0,
    INITVAL_07 = 320'h0,
    INITVAL_08 = 320'h0,
    INITVAL_09 = 320'h0,
    INITVAL_0A = 320'h0,
    INITVAL_0B = 320'h0,
    INITVAL_0C = 320'h0,
    INITVAL_0D = 320'h0,
    INITVAL_0E = 320'h0,
    INITVAL_0F = 320'h0,
    INITVAL_10 = 320'h0,
    INITVAL_11 = 320'h0,
    INITVAL_12 = 320'h0,
    INITVAL_13 = 320'h0,
    INITVAL_14 = 320'h0,
    INITVAL_15 = 320'h0,
    INITVAL_16 = 320'h0,
    INITVAL_17 = 320'h0,
    INITVAL_18 = 320'h0,
    INITVAL_19 = 320'h0,
    INITVAL_1A = 320'h0,
    INITVAL_1B = 320'h0,
    INITVAL_1C = 320'h0,
    INITVAL_1D = 320'h0,
    INITVAL_1E = 320'h0,
    INITVAL_1F = 320'h0,
    INITVAL_20 = 320'h0,
    INITVAL_21 = 320'h0,
    INITVAL_22 = 320'h0,
    INITVAL_23 = 320'h0,
    INITVAL_24 = 320'h0,
    INITVAL_25 = 320'h0,
    INITVAL_26 = 320'h0,
    INITVAL_27 = 320'h0,
    INITVAL_28 = 320'h0,
    INITVAL_29 = 320'h0,
    INITVAL_2A = 320'h0,
    INITVAL_2B = 320'h0,
    INITVAL_2C = 320'h0,
    INITVAL_2D = 320'h0,
    INITVAL_2E = 320'h0,
    INITVAL_2F = 320'h0,
    INITVAL_30 = 320'h0,
    INITVAL_31 = 320'h0,
    INITVAL_32 = 320'h0,
    INITVAL_33 = 320'h0,
    INITVAL_34 = 320'h0,
    INITVAL_35 = 320'h0,
    INITVAL_36 = 320'h0,
    INITVAL_37 = 320'h0,
    INITVAL_38 = 320'h0,
    INITVAL_39 = 320'h0,
    INITVAL_3A = 320'h0,
    INITVAL_3B = 320'h0,
    INITVAL_3C = 320'h0,
    INITVAL_3D = 320'h0,
    INITVAL_3E = 320'h0,
    INITVAL_3F = 320'h0;

  reg [17:0] rows [0:1023];
  // 16 rows a parameter, 20 bits a row of which 18 count.
  localparam [64*320-1:0] INITVALS =
    {INITVAL_3F, INITVAL_3E, INITVAL_3D, INITVAL_3C, INITVAL_3B, INITVAL_3A, INITVAL_39,
    INITVAL_38, INITVAL_37, INITVAL_36, INITVAL_35, INITVAL_34, INITVAL_33, INITVAL_32,
    INITVAL_31, INITVAL_30, INITVAL_2F, INITVAL_2E, INITVAL_2D, INITVAL_2C, INITVAL_2B,
    INITVAL_2A, INITVAL_29, INITVAL_28, INITVAL_27, INITVAL_26, INITVAL_25, INITVAL_24,
    INITVAL_23, INITVAL_22, INITVAL_21, INITVAL_20, INITVAL_1F, INITVAL_1E, INITVAL_1D,
    INITVAL_1C, INITVAL_1B, INITVAL_1A, INITVAL_19, INITVAL_18, INITVAL_17, INITVAL_16,
    INITVAL_15, INITVAL_14, INITVAL_13, INITVAL_12, INITVAL_11, INITVAL_10, INITVAL_0F,
    INITVAL_0E, INITVAL_0D, INITVAL_0C, INITVAL_0B, INITVAL_0A, INITVAL_09, INITVAL_08,
    INITVAL_07, INITVAL_06, INITVAL_05, INITVAL_04, INITVAL_03, INITVAL_02, INITVAL_01,
    INITVAL_00};
  // A variable, since Icarus makes a constant of 20,480 bits anew for every look at it.
  reg [64*320-1:0] initvals;
  integer i;
  initial begin
    initvals = INITVALS;
    for (i = 0; i < 1024; i = i + 1) rows[i] = initvals[20 * i +: 18];
  end

  function is_width(input integer width);
    is_width = width == 1 || width == 2 || width == 4 || width == 9 || width == 18 || width == 36;
  endfunction
  initial begin
    if (!is_width(DATA_WIDTH_A) || !is_width(DATA_WIDTH_B))
      $fatal(1, "DP16KD %m: widths must be 1, 2, 4, 9, 18 or 36, got %0d and %0d",
             DATA_WIDTH_A, DATA_WIDTH_B);
    if (CSDECODE_A != "0b000" || CSDECODE_B != "0b000")
      $fatal(1, "DP16KD %m: CSDECODE must be 0b000");
    if (CLKAMUX != "CLKA" || CLKBMUX != "CLKB")
      $fatal(1, "DP16KD %m: clocks must not be inverted");
    if (RESETMODE != "SYNC" && (RSTA !== 0 || RSTB !== 0))
      $fatal(1, "DP16KD %m: resets must be synchronous or tied to 0");
  end

  wire [17:0] di_a = {DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7,
                      DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0};
  wire [17:0] di_b = {DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7,
                      DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0};
  wire [13:0] ad_a = {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2,
                      ADA1, ADA0};
  wire [13:0] ad_b = {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2,
                      ADB1, ADB0};
  wire on_a = CEA & ~CSA2 & ~CSA1 & ~CSA0;
  wire on_b = CEB & ~CSB2 & ~CSB1 & ~CSB0;

  // What a port of `width` bits sees of two rows, at the bottom.
  function [35:0] picked(input [35:0] pair, input [13:0] at, input integer width);
    case (width)
      1: picked = pair >> (18 * at[4] + 9 * at[3] + at[2:0]);
      2: picked = pair >> (18 * at[4] + 9 * at[3] + 2 * at[2:1]);
      4: picked = pair >> (18 * at[4] + 9 * at[3] + 4 * at[2]);
      9: picked = pair >> (18 * at[4] + 9 * at[3]);
      18: picked = pair >> (18 * at[4]);
      default: picked = pair;
    endcase
  endfunction

  // Bits that a write changes, in the place of picked().
  function [35:0] enabled(input [13:0] at, input integer width);
    case (width)
      1: enabled = 36'h1;
      2: enabled = 36'h3;
      4: enabled = 36'hf;
      9: enabled = 36'h1ff;
      18: enabled = {18'h0, {9{at[1]}}, {9{at[0]}}};
      default: enabled = {{9{at[3]}}, {9{at[2]}}, {9{at[1]}}, {9{at[0]}}};
    endcase
  endfunction

  function [5:0] place(input [13:0] at, input integer width);
    case (width)
      1: place = 18 * at[4] + 9 * at[3] + at[2:0];
      2: place = 18 * at[4] + 9 * at[3] + 2 * at[2:1];
      4: place = 18 * at[4] + 9 * at[3] + 4 * at[2];
      9: place = 18 * at[4] + 9 * at[3];
      18: place = 18 * at[4];
      default: place = 0;
    endcase
  endfunction

  wire [35:0] pair_a = {rows[{ad_a[13:5], 1'b1}], rows[{ad_a[13:5], 1'b0}]};
  wire [35:0] pair_b = {rows[{ad_b[13:5], 1'b1}], rows[{ad_b[13:5], 1'b0}]};
  wire [35:0] data_a = DATA_WIDTH_A == 36 ? {di_b, di_a} : {18'h0, di_a};
  wire [35:0] mask_a = enabled(ad_a, DATA_WIDTH_A) << place(ad_a, DATA_WIDTH_A);
  wire [35:0] mask_b = enabled(ad_b, DATA_WIDTH_B) << place(ad_b, DATA_WIDTH_B);
  wire [35:0] after_a = pair_a & ~mask_a | (data_a << place(ad_a, DATA_WIDTH_A)) & mask_a;
  wire [35:0] after_b =
    pair_b & ~mask_b | ({18'h0, di_b} << place(ad_b, DATA_WIDTH_B)) & mask_b;

  reg [35:0] latch_a = 0, latch_b = 0, register_a = 0, register_b = 0;
  always @(posedge CLKA) begin
    if (on_a & WEA) {rows[{ad_a[13:5], 1'b1}], rows[{ad_a[13:5], 1'b0}]} <= after_a;
    if (on_a & (~WEA | WRITEMODE_A != "NORMAL"))
      latch_a <= picked(WEA & WRITEMODE_A == "WRITETHROUGH" ? after_a : pair_a, ad_a, DATA_WIDTH_A);
    if (OCEA) register_a <= latch_a;
    if (RSTA) begin
      latch_a <= 0;
      register_a <= 0;
    end
  end
  always @(posedge CLKB) begin
    if (on_b & WEB) {rows[{ad_b[13:5], 1'b1}], rows[{ad_b[13:5], 1'b0}]} <= after_b;
    if (on_b & (~WEB | WRITEMODE_B != "NORMAL"))
      latch_b <= picked(WEB & WRITEMODE_B == "WRITETHROUGH" ? after_b : pair_b, ad_b, DATA_WIDTH_B);
    if (OCEB) register_b <= latch_b;
    if (RSTB) begin
      latch_b <= 0;
      register_b <= 0;
    end
  end

  // One port of 36 bits reads under port B's controls: A's outputs are the low half. A narrow read
  // port beside a wide write port stands at B, at the bottom of its own outputs.
  wire is_wide_read = DATA_WIDTH_B == 36;
  wire [35:0] out_a = REGMODE_A == "OUTREG" ? register_a : latch_a;
  wire [35:0] out_b = REGMODE_B == "OUTREG" ? register_b : latch_b;
  assign {DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5,
          DOA4, DOA3, DOA2, DOA1, DOA0} = is_wide_read ? out_b[17:0] : out_a[17:0];
  assign {DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5,
          DOB4, DOB3, DOB2, DOB1, DOB0} = is_wide_read ? out_b[35:18] : out_b[17:0];
endmodule

// A product of 18 x 18 bits, with the register behind it or without, and with registers of both
// factors or without.
module MULT18X18D(
  input A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0,
  input B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0,
  input C17, C16, C15, C14, C13, C12, C11, C10, C9, C8, C7, C6, C5, C4, C3, C2, C1, C0,
  input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB, CLK0, CE0, CE1, RST0,
  output P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18,
  output P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
);
  parameter REG_INPUTA_CLK = "NONE";
  parameter REG_INPUTA_CE = "CE0";
  parameter REG_INPUTA_RST = "RST0";
  parameter REG_INPUTB_CLK = "NONE";
  parameter REG_INPUTB_CE = "CE0";
  parameter REG_INPUTB_RST = "RST0";
  parameter REG_INPUTC_CLK = "NONE";
  parameter REG_PIPELINE_CLK = "NONE";
  parameter REG_OUTPUT_CLK = "NONE";
  parameter REG_OUTPUT_CE = "CE0";
  parameter REG_OUTPUT_RST = "RST0";
  localparam IS_REGISTERED = REG_OUTPUT_CLK == "CLK0";
  localparam TAKES_FACTORS = REG_INPUTA_CLK == "CLK0";
  initial begin
    if (REG_INPUTC_CLK != "NONE" || REG_PIPELINE_CLK != "NONE")
      $fatal(1, "MULT18X18D %m: registers must be those of the factors and of the product");
    if (REG_INPUTA_CLK != REG_INPUTB_CLK)
      $fatal(1, "MULT18X18D %m: both factors must have a register, or none");
    if (REG_INPUTA_CLK != "NONE" &&
        (!TAKES_FACTORS || REG_INPUTA_CE != "CE1" || REG_INPUTB_CE != "CE1" ||
         REG_INPUTA_RST != "RST0" || REG_INPUTB_RST != "RST0"))
      $fatal(1, "MULT18X18D %m: registers of factors must have CLK0, CE1 and RST0");
    if (REG_OUTPUT_CLK != "NONE" &&
        (!IS_REGISTERED || REG_OUTPUT_CE != "CE0" || REG_OUTPUT_RST != "RST0"))
      $fatal(1, "MULT18X18D %m: the register must have CLK0, CE0 and RST0");
  end

  wire [17:0] a_in = {A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1,
                      A0};
  wire [17:0] b_in = {B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1,
                      B0};
  reg [17:0] a_register = 0, b_register = 0;
  always @(posedge CLK0) begin
    if (RST0) {a_register, b_register} <= 0;
    else if (CE1) {a_register, b_register} <= {a_in, b_in};
  end
  wire [17:0] a_bits = TAKES_FACTORS ? a_register : a_in;
  wire [17:0] b_bits = TAKES_FACTORS ? b_register : b_in;
  wire signed [18:0] a = {SIGNEDA & a_bits[17], a_bits};
  wire signed [18:0] b = {SIGNEDB & b_bits[17], b_bits};
  wire signed [37:0] product = a * b;
  reg [35:0] register = 0;
  always @(posedge CLK0) begin
    if (RST0) register <= 0;
    else if (CE0) register <= product[35:0];
  end
  assign {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19,
          P18, P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0} =
    IS_REGISTERED ? register : product[35:0];
endmodule
