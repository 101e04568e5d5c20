// $title: clock, reset and pins around board_core.v and chip.v.
module top(
  input $clock_port, input $reset_port, input uart_rx, output uart_tx,
  output led_running, output led_error, output led_done
);
  wire feedback, made_chip, made_host, chip_clk, clk, locked;
  // $input_mhz MHz * $multiplier / $divider = $clock_mhz MHz
  MMCME2_BASE #(
    .CLKIN1_PERIOD($input_ns), .CLKFBOUT_MULT_F($multiplier.0), .DIVCLK_DIVIDE(1),
    .CLKOUT0_DIVIDE_F($divider.0), .CLKOUT1_DIVIDE($host_divider)  // $host_mhz MHz
  ) mmcm(
    .CLKIN1($clock_port), .CLKFBIN(feedback), .CLKFBOUT(feedback), .CLKOUT0(made_chip), .CLKOUT1(made_host),
    .LOCKED(locked), .PWRDWN(1'b0), .RST(1'b0));
  BUFG chip_buffer(.I(made_chip), .O(chip_clk));
  BUFG host_buffer(.I(made_host), .O(clk));
  // Reset begins at once and ends with the clock.
  (* ASYNC_REG = "TRUE" *) reg [1:0] reset = 2'b11;
  wire start = ~locked | ${reset_active};
  always @(posedge clk or posedge start)
    if (start) reset <= 2'b11;
    else reset <= {reset[0], 1'b0};
  board_core core(
    .clk(clk), .rst(reset[1]), .chip_clk(chip_clk), .rx(uart_rx), .tx(uart_tx),
    .running(led_running), .error(led_error), .done(led_done));
endmodule
