// SPDX-License-Identifier: Apache-2.0
// The host side with AXI: both clocks, reset, and the buses that Python drives.
module axi_host_bench #(
  parameter REGISTER = 32, parameter STREAM = 64,
  parameter CHIP_HALF = 3700   // of a period, in ps
);
  reg chip_clk = 0;
  always #(CHIP_HALF / 1000.0) chip_clk = ~chip_clk;
  reg aclk = 0, aresetn = 0;   // set by Python, as are all others
  wire interrupt;
  reg s_axil_awvalid = 0, s_axil_wvalid = 0, s_axil_bready = 0, s_axil_arvalid = 0,
      s_axil_rready = 0, s_axis_tvalid = 0, s_axis_tlast = 0, m_axis_tready = 0;
  reg [11:0] s_axil_awaddr = 0, s_axil_araddr = 0;
  reg [2:0] s_axil_awprot = 0, s_axil_arprot = 0;
  reg [REGISTER-1:0] s_axil_wdata = 0;
  reg [REGISTER/8-1:0] s_axil_wstrb = 0;
  reg [STREAM-1:0] s_axis_tdata = 0;
  reg [STREAM/8-1:0] s_axis_tkeep = 0;
  wire s_axil_awready, s_axil_wready, s_axil_bvalid, s_axil_arready, s_axil_rvalid, s_axis_tready,
       m_axis_tvalid, m_axis_tlast;
  wire [1:0] s_axil_bresp, s_axil_rresp;
  wire [REGISTER-1:0] s_axil_rdata;
  wire [STREAM-1:0] m_axis_tdata;
  wire [STREAM/8-1:0] m_axis_tkeep;

  axi_chip dut(
    .aclk(aclk), .aresetn(aresetn), .chip_clk(chip_clk), .interrupt(interrupt),
    .s_axil_awvalid(s_axil_awvalid), .s_axil_awready(s_axil_awready),
    .s_axil_awaddr(s_axil_awaddr), .s_axil_awprot(s_axil_awprot),
    .s_axil_wvalid(s_axil_wvalid), .s_axil_wready(s_axil_wready),
    .s_axil_wdata(s_axil_wdata), .s_axil_wstrb(s_axil_wstrb),
    .s_axil_bvalid(s_axil_bvalid), .s_axil_bready(s_axil_bready), .s_axil_bresp(s_axil_bresp),
    .s_axil_arvalid(s_axil_arvalid), .s_axil_arready(s_axil_arready),
    .s_axil_araddr(s_axil_araddr), .s_axil_arprot(s_axil_arprot),
    .s_axil_rvalid(s_axil_rvalid), .s_axil_rready(s_axil_rready),
    .s_axil_rdata(s_axil_rdata), .s_axil_rresp(s_axil_rresp),
    .s_axis_tvalid(s_axis_tvalid), .s_axis_tready(s_axis_tready), .s_axis_tdata(s_axis_tdata),
    .s_axis_tkeep(s_axis_tkeep), .s_axis_tlast(s_axis_tlast),
    .m_axis_tvalid(m_axis_tvalid), .m_axis_tready(m_axis_tready), .m_axis_tdata(m_axis_tdata),
    .m_axis_tkeep(m_axis_tkeep), .m_axis_tlast(m_axis_tlast));
endmodule
