// SPDX-License-Identifier: Apache-2.0
// Simulation models of UltraScale+'s memories and multiplier, of which Yosys has ports alone: pins,
// around xilinx_block_ram, of block RAMs; UltraRAM; and a multiplier without registers.
//
// As the family's documents describe them, in the ways of use that Yosys maps to; a parameter
// beyond those ends the simulation.

module RAMB18E2(
  input CLKARDCLK, CLKBWRCLK, ENARDEN, ENBWREN, REGCEAREGCE, REGCEB, ADDRENA, ADDRENB, SLEEP,
  input RSTRAMARSTRAM, RSTRAMB, RSTREGARSTREG, RSTREGB,
  input CASDIMUXA, CASDIMUXB, CASDOMUXA, CASDOMUXB, CASDOMUXEN_A, CASDOMUXEN_B,
  input CASOREGIMUXA, CASOREGIMUXB, CASOREGIMUXEN_A, CASOREGIMUXEN_B,
  input [15:0] CASDINA, CASDINB,
  input [1:0] CASDINPA, CASDINPB,
  input [13:0] ADDRARDADDR, ADDRBWRADDR,
  input [15:0] DINADIN, DINBDIN,
  input [1:0] DINPADINP, DINPBDINP,
  input [1:0] WEA,
  input [3:0] WEBWE,
  output [15:0] CASDOUTA, CASDOUTB,
  output [1:0] CASDOUTPA, CASDOUTPB,
  output [15:0] DOUTADOUT, DOUTBDOUT,
  output [1:0] DOUTPADOUTP, DOUTPBDOUTP
);
  parameter CASCADE_ORDER_A = "NONE";
  parameter CASCADE_ORDER_B = "NONE";
  parameter CLOCK_DOMAINS = "INDEPENDENT";
  parameter integer DOA_REG = 1;
  parameter integer DOB_REG = 1;
  parameter ENADDRENA = "FALSE";
  parameter ENADDRENB = "FALSE";
  parameter RDADDRCHANGEA = "FALSE";
  parameter RDADDRCHANGEB = "FALSE";
  parameter integer READ_WIDTH_A = 0;
  parameter integer READ_WIDTH_B = 0;
  parameter integer WRITE_WIDTH_A = 0;
  parameter integer WRITE_WIDTH_B = 0;
  parameter WRITE_MODE_A = "NO_CHANGE";
  parameter WRITE_MODE_B = "NO_CHANGE";
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
  // No parameter says so: a port of both halves' width makes it a memory that A reads and B writes.
  localparam IS_WIDE = READ_WIDTH_A > 18 || WRITE_WIDTH_B > 18;

  initial begin
    if (IS_CLKARDCLK_INVERTED || IS_CLKBWRCLK_INVERTED)
      $fatal(1, "RAMB18E2 %m: clocks must not be inverted");
    if (CASCADE_ORDER_A != "NONE" || CASCADE_ORDER_B != "NONE")
      $fatal(1, "RAMB18E2 %m: must not be cascaded");
    if (ENADDRENA != "FALSE" || ENADDRENB != "FALSE")
      $fatal(1, "RAMB18E2 %m: addresses must be without enables");
    if (DOA_REG != 0 || DOB_REG != 0) $fatal(1, "RAMB18E2 %m: must be without output registers");
  end
  xilinx_block_ram #(
    .BYTES(2048), .PORT_BYTES(2), .RAM_MODE(IS_WIDE ? "SDP" : "TDP"),
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
    .di_a(DINADIN), .di_b(DINBDIN), .dip_a(DINPADINP), .dip_b(DINPBDINP),
    .we_a(WEA), .we_b(WEBWE),
    .do_a(DOUTADOUT), .do_b(DOUTBDOUT), .dop_a(DOUTPADOUTP), .dop_b(DOUTPBDOUTP));
endmodule

module RAMB36E2(
  input CLKARDCLK, CLKBWRCLK, ENARDEN, ENBWREN, REGCEAREGCE, REGCEB, ADDRENA, ADDRENB, SLEEP,
  input RSTRAMARSTRAM, RSTRAMB, RSTREGARSTREG, RSTREGB,
  input CASDIMUXA, CASDIMUXB, CASDOMUXA, CASDOMUXB, CASDOMUXEN_A, CASDOMUXEN_B,
  input CASOREGIMUXA, CASOREGIMUXB, CASOREGIMUXEN_A, CASOREGIMUXEN_B,
  input CASINDBITERR, CASINSBITERR, ECCPIPECE, INJECTDBITERR, INJECTSBITERR,
  input [31:0] CASDINA, CASDINB,
  input [3:0] CASDINPA, CASDINPB,
  input [14:0] ADDRARDADDR, ADDRBWRADDR,
  input [31:0] DINADIN, DINBDIN,
  input [3:0] DINPADINP, DINPBDINP,
  input [3:0] WEA,
  input [7:0] WEBWE,
  output CASOUTDBITERR, CASOUTSBITERR, DBITERR, SBITERR,
  output [7:0] ECCPARITY,
  output [8:0] RDADDRECC,
  output [31:0] CASDOUTA, CASDOUTB,
  output [3:0] CASDOUTPA, CASDOUTPB,
  output [31:0] DOUTADOUT, DOUTBDOUT,
  output [3:0] DOUTPADOUTP, DOUTPBDOUTP
);
  parameter CASCADE_ORDER_A = "NONE";
  parameter CASCADE_ORDER_B = "NONE";
  parameter CLOCK_DOMAINS = "INDEPENDENT";
  parameter integer DOA_REG = 1;
  parameter integer DOB_REG = 1;
  parameter ENADDRENA = "FALSE";
  parameter ENADDRENB = "FALSE";
  parameter EN_ECC_PIPE = "FALSE";
  parameter EN_ECC_READ = "FALSE";
  parameter EN_ECC_WRITE = "FALSE";
  parameter RDADDRCHANGEA = "FALSE";
  parameter RDADDRCHANGEB = "FALSE";
  parameter integer READ_WIDTH_A = 0;
  parameter integer READ_WIDTH_B = 0;
  parameter integer WRITE_WIDTH_A = 0;
  parameter integer WRITE_WIDTH_B = 0;
  parameter WRITE_MODE_A = "NO_CHANGE";
  parameter WRITE_MODE_B = "NO_CHANGE";
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
  // No parameter says so: a port of both halves' width makes it a memory that A reads and B writes.
  localparam IS_WIDE = READ_WIDTH_A > 36 || WRITE_WIDTH_B > 36;

  initial begin
    if (IS_CLKARDCLK_INVERTED || IS_CLKBWRCLK_INVERTED)
      $fatal(1, "RAMB36E2 %m: clocks must not be inverted");
    if (CASCADE_ORDER_A != "NONE" || CASCADE_ORDER_B != "NONE")
      $fatal(1, "RAMB36E2 %m: must not be cascaded");
    if (ENADDRENA != "FALSE" || ENADDRENB != "FALSE")
      $fatal(1, "RAMB36E2 %m: addresses must be without enables");
    if (EN_ECC_PIPE != "FALSE" || EN_ECC_READ != "FALSE" || EN_ECC_WRITE != "FALSE")
      $fatal(1, "RAMB36E2 %m: must be without error correction");
    if (DOA_REG != 0 || DOB_REG != 0) $fatal(1, "RAMB36E2 %m: must be without output registers");
  end
  xilinx_block_ram #(
    .BYTES(4096), .PORT_BYTES(4), .RAM_MODE(IS_WIDE ? "SDP" : "TDP"),
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
    .ad_a(ADDRARDADDR), .ad_b(ADDRBWRADDR),
    .di_a(DINADIN), .di_b(DINBDIN), .dip_a(DINPADINP), .dip_b(DINPBDINP),
    .we_a(WEA), .we_b(WEBWE),
    .do_a(DOUTADOUT), .do_b(DOUTBDOUT), .dop_a(DOUTPADOUTP), .dop_b(DOUTPBDOUTP));
endmodule

module URAM288(
  input CLK, SLEEP, EN_A, EN_B, RDB_WR_A, RDB_WR_B, RST_A, RST_B,
  input INJECT_DBITERR_A, INJECT_DBITERR_B, INJECT_SBITERR_A, INJECT_SBITERR_B,
  input OREG_CE_A, OREG_CE_B, OREG_ECC_CE_A, OREG_ECC_CE_B,
  input [22:0] ADDR_A, ADDR_B,
  input [8:0] BWE_A, BWE_B,
  input [71:0] DIN_A, DIN_B,
  output [71:0] DOUT_A, DOUT_B
);
  parameter BWE_MODE_A = "PARITY_INTERLEAVED";
  parameter BWE_MODE_B = "PARITY_INTERLEAVED";
  parameter CASCADE_ORDER_A = "NONE";
  parameter CASCADE_ORDER_B = "NONE";
  parameter EN_AUTO_SLEEP_MODE = "FALSE";
  parameter EN_ECC_RD_A = "FALSE";
  parameter EN_ECC_RD_B = "FALSE";
  parameter EN_ECC_WR_A = "FALSE";
  parameter EN_ECC_WR_B = "FALSE";
  parameter IREG_PRE_A = "FALSE";
  parameter IREG_PRE_B = "FALSE";
  parameter IS_CLK_INVERTED = 1'b0;
  parameter IS_EN_A_INVERTED = 1'b0;
  parameter IS_EN_B_INVERTED = 1'b0;
  parameter IS_RDB_WR_A_INVERTED = 1'b0;
  parameter IS_RDB_WR_B_INVERTED = 1'b0;
  parameter IS_RST_A_INVERTED = 1'b0;
  parameter IS_RST_B_INVERTED = 1'b0;
  parameter OREG_A = "FALSE";
  parameter OREG_B = "FALSE";
  parameter RST_MODE_A = "SYNC";
  parameter RST_MODE_B = "SYNC";

  function is_mode(input [8*18-1:0] mode);
    is_mode = mode == "PARITY_INTERLEAVED" || mode == "PARITY_INDEPENDENT";
  endfunction
  function is_reset(input [8*5-1:0] mode);
    is_reset = mode == "SYNC" || mode == "ASYNC";
  endfunction
  initial begin
    if (OREG_A != "FALSE" || OREG_B != "FALSE" || IREG_PRE_A != "FALSE" || IREG_PRE_B != "FALSE")
      $fatal(1, "URAM288 %m: must be without registers before or behind it");
    if (CASCADE_ORDER_A != "NONE" || CASCADE_ORDER_B != "NONE")
      $fatal(1, "URAM288 %m: must not be cascaded");
    if (EN_ECC_RD_A != "FALSE" || EN_ECC_RD_B != "FALSE" || EN_ECC_WR_A != "FALSE" ||
        EN_ECC_WR_B != "FALSE")
      $fatal(1, "URAM288 %m: must be without error correction");
    if (!is_reset(RST_MODE_A) || !is_reset(RST_MODE_B))
      $fatal(1, "URAM288 %m: resets must be SYNC or ASYNC");
    if (EN_AUTO_SLEEP_MODE != "FALSE") $fatal(1, "URAM288 %m: must not sleep");
    if (IS_CLK_INVERTED) $fatal(1, "URAM288 %m: the clock must not be inverted");
    if (!is_mode(BWE_MODE_A) || !is_mode(BWE_MODE_B))
      $fatal(1, "URAM288 %m: write enables must be PARITY_INTERLEAVED or PARITY_INDEPENDENT");
  end

  // Bits that are written: the ninth enable is for parity, or each byte takes its bit of it along.
  function [71:0] mask(input [8:0] enables, input is_interleaved);
    integer k;
    for (k = 0; k < 8; k = k + 1) begin
      mask[8*k +: 8] = {8{enables[k]}};
      mask[64 + k] = is_interleaved ? enables[k] : enables[8];
    end
  endfunction

  wire en_a = EN_A ^ IS_EN_A_INVERTED;
  wire en_b = EN_B ^ IS_EN_B_INVERTED;
  wire writes_a = RDB_WR_A ^ IS_RDB_WR_A_INVERTED;
  wire writes_b = RDB_WR_B ^ IS_RDB_WR_B_INVERTED;
  wire [71:0] mask_a = mask(BWE_A, BWE_MODE_A == "PARITY_INTERLEAVED");
  wire [71:0] mask_b = mask(BWE_B, BWE_MODE_B == "PARITY_INTERLEAVED");
  wire rst_a = RST_A ^ IS_RST_A_INVERTED;
  wire rst_b = RST_B ^ IS_RST_B_INVERTED;
  wire clears_a = rst_a && RST_MODE_A == "ASYNC";
  wire clears_b = rst_b && RST_MODE_B == "ASYNC";

  reg [71:0] words [0:4095];
  reg [71:0] latch_a, latch_b;
  integer i;
  initial begin
    for (i = 0; i < 4096; i = i + 1) words[i] = 72'h0;
    latch_a = 72'h0;
    latch_b = 72'h0;
  end
  // In each cycle A comes first: B reads, and writes over, what A has written.
  wire [71:0] old_a = words[ADDR_A[11:0]];
  wire [71:0] new_a = (old_a & ~mask_a) | (DIN_A & mask_a);
  wire is_same = en_a && writes_a && ADDR_A[11:0] == ADDR_B[11:0];
  wire [71:0] old_b = is_same ? new_a : words[ADDR_B[11:0]];
  wire [71:0] new_b = (old_b & ~mask_b) | (DIN_B & mask_b);
  always @(posedge CLK) begin
    if (en_a && writes_a) words[ADDR_A[11:0]] <= new_a;
    if (en_b && writes_b) words[ADDR_B[11:0]] <= new_b;
  end
  always @(posedge CLK or posedge clears_a)
    if (clears_a || rst_a) latch_a <= 72'h0;
    else if (en_a && !writes_a) latch_a <= old_a;
  always @(posedge CLK or posedge clears_b)
    if (clears_b || rst_b) latch_b <= 72'h0;
    else if (en_b && !writes_b) latch_b <= old_b;
  assign DOUT_A = latch_a;
  assign DOUT_B = latch_b;
endmodule

module DSP48E2(
  input [29:0] A, ACIN,
  input [17:0] B, BCIN,
  input [47:0] C, PCIN,
  input [26:0] D,
  input [3:0] ALUMODE,
  input [4:0] INMODE,
  input [8:0] OPMODE,
  input [2:0] CARRYINSEL,
  input CARRYIN,
  output [47:0] P
);
  parameter integer ACASCREG = 1;
  parameter integer ADREG = 1;
  parameter integer ALUMODEREG = 1;
  parameter AMULTSEL = "A";
  parameter integer AREG = 1;
  parameter A_INPUT = "DIRECT";
  parameter integer BCASCREG = 1;
  parameter BMULTSEL = "B";
  parameter integer BREG = 1;
  parameter B_INPUT = "DIRECT";
  parameter integer CARRYINREG = 1;
  parameter integer CARRYINSELREG = 1;
  parameter integer CREG = 1;
  parameter integer DREG = 1;
  parameter integer INMODEREG = 1;
  parameter integer MREG = 1;
  parameter integer OPMODEREG = 1;
  parameter integer PREG = 1;
  parameter USE_MULT = "MULTIPLY";
  parameter USE_SIMD = "ONE48";
  initial begin
    if (ADREG != 0 || ALUMODEREG != 0 || AREG != 0 || BREG != 0 || CARRYINREG != 0 ||
        CARRYINSELREG != 0 || CREG != 0 || DREG != 0 || INMODEREG != 0 || MREG != 0 ||
        OPMODEREG != 0 || PREG != 0)
      $fatal(1, "DSP48E2 %m: must be without registers");
    if (AMULTSEL != "A" || BMULTSEL != "B" || A_INPUT != "DIRECT" || B_INPUT != "DIRECT" ||
        USE_MULT != "MULTIPLY" || USE_SIMD != "ONE48")
      $fatal(1, "DSP48E2 %m: must multiply A and B");
  end
  always @*
    if (OPMODE !== 9'h005 || ALUMODE !== 4'h0 || INMODE !== 5'h0 || CARRYINSEL !== 3'h0 ||
        CARRYIN !== 1'b0)
      $fatal(1, "DSP48E2 %m: must give the product and nothing more");

  wire signed [26:0] a = A[26:0];
  wire signed [17:0] b = B;
  wire signed [47:0] product = a * b;
  assign P = product;
endmodule
