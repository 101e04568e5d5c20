// SPDX-License-Identifier: Apache-2.0
// A register stage of an AXI4-Stream, as anybody might bring it: every output is a register, and a
// second register takes the word that arrives in the cycle in which the receiver stops.
// DROPS plants a fault: the word in the second register is lost when the receiver waits twice.
module skid_buffer #(parameter WIDTH = 8, parameter DROPS = 0) (
  input aclk, input aresetn,
  input [WIDTH-1:0] s_axis_tdata, input s_axis_tlast, input s_axis_tvalid, output s_axis_tready,
  output [WIDTH-1:0] m_axis_tdata, output m_axis_tlast, output m_axis_tvalid, input m_axis_tready
);
  reg [WIDTH:0] word = 0, skid = 0;
  reg word_valid = 0, skid_valid = 0;
  reg [1:0] waited = 0;
  assign s_axis_tready = ~skid_valid;
  assign {m_axis_tlast, m_axis_tdata} = word;
  assign m_axis_tvalid = word_valid;
  wire stopped = word_valid & ~m_axis_tready;
  always @(posedge aclk) begin
    if (~aresetn) begin
      word_valid <= 0;
      skid_valid <= 0;
      waited <= 0;
    end else begin
      waited <= stopped ? waited + {1'b0, ~&waited} : 2'd0;
      if (~stopped) begin
        word <= skid_valid ? skid : {s_axis_tlast, s_axis_tdata};
        word_valid <= skid_valid | s_axis_tvalid;
        skid_valid <= 0;
      end else if (s_axis_tvalid & s_axis_tready) begin
        skid <= {s_axis_tlast, s_axis_tdata};
        skid_valid <= 1;
      end
      if (DROPS != 0 & stopped & skid_valid & waited == 2'd2) skid_valid <= 0;
    end
  end
endmodule
