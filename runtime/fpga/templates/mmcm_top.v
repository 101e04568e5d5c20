// $title: clock, reset and pins around board_core.v and chip.v.
module top(
  input $clock_port, input $reset_port, input uart_rx, output uart_tx,
  output led_running, output led_error, output led_done
);
  wire feedback, made, clk, locked;
  // $input_mhz MHz * $multiplier / $divider = $clock_mhz MHz
  MMCME2_BASE #(
    .CLKIN1_PERIOD($input_ns), .CLKFBOUT_MULT_F($multiplier.0), .DIVCLK_DIVIDE(1),
    .CLKOUT0_DIVIDE_F($divider.0)
  ) mmcm(
    .CLKIN1($clock_port), .CLKFBIN(feedback), .CLKFBOUT(feedback), .CLKOUT0(made),
    .LOCKED(locked), .PWRDWN(1'b0), .RST(1'b0));
  BUFG buffer(.I(made), .O(clk));
  // Reset begins at once and ends with the clock.
  (* ASYNC_REG = "TRUE" *) reg [1:0] reset = 2'b11;
  wire start = ~locked | ${reset_active};
  always @(posedge clk or posedge start)
    if (start) reset <= 2'b11;
    else reset <= {reset[0], 1'b0};
  board_core core(
    .clk(clk), .rst(reset[1]), .rx(uart_rx), .tx(uart_tx),
    .running(led_running), .error(led_error), .done(led_done));
endmodule
