// SPDX-License-Identifier: Apache-2.0
// Sixteen registers behind AXI4-Lite, as anybody might bring them. The address and the data of a
// write may come in any order; a register beyond the last one answers SLVERR.
module registers (
  input clk, input rst,
  input [6:0] s_axi_awaddr, input s_axi_awvalid, output s_axi_awready,
  input [31:0] s_axi_wdata, input [3:0] s_axi_wstrb, input s_axi_wvalid, output s_axi_wready,
  output reg [1:0] s_axi_bresp, output reg s_axi_bvalid, input s_axi_bready,
  input [6:0] s_axi_araddr, input [2:0] s_axi_arprot, input s_axi_arvalid, output s_axi_arready,
  output reg [31:0] s_axi_rdata, output reg [1:0] s_axi_rresp, output reg s_axi_rvalid,
  input s_axi_rready
);
  reg [31:0] words [0:15];
  reg [6:0] address;
  reg [31:0] data;
  reg [3:0] strobe;
  reg has_address, has_data;
  integer i;
  assign s_axi_awready = ~has_address;
  assign s_axi_wready = ~has_data;
  assign s_axi_arready = ~s_axi_rvalid;
  always @(posedge clk) begin
    if (rst) begin
      has_address <= 0;
      has_data <= 0;
      s_axi_bvalid <= 0;
      s_axi_rvalid <= 0;
      for (i = 0; i < 16; i = i + 1) words[i] <= 0;
    end else begin
      if (s_axi_awvalid & s_axi_awready) {has_address, address} <= {1'b1, s_axi_awaddr};
      if (s_axi_wvalid & s_axi_wready)
        {has_data, data, strobe} <= {1'b1, s_axi_wdata, s_axi_wstrb};
      if (has_address & has_data & ~s_axi_bvalid) begin
        for (i = 0; i < 4; i = i + 1)
          if (strobe[i] & ~address[6]) words[address[5:2]][8*i +: 8] <= data[8*i +: 8];
        s_axi_bresp <= address[6] ? 2'd2 : 2'd0;
        s_axi_bvalid <= 1;
        has_address <= 0;
        has_data <= 0;
      end
      if (s_axi_bvalid & s_axi_bready) s_axi_bvalid <= 0;
      if (s_axi_arvalid & s_axi_arready) begin
        s_axi_rdata <= s_axi_araddr[6] ? 32'd0 : words[s_axi_araddr[5:2]];
        s_axi_rresp <= s_axi_araddr[6] ? 2'd2 : 2'd0;
        s_axi_rvalid <= 1;
      end
      if (s_axi_rvalid & s_axi_rready) s_axi_rvalid <= 0;
    end
  end
endmodule
