// Test bench of a chip that runs one network: plays the host, compares what comes out.
//
// config.hex    flits that write all memories over the mesh, then start the cores
// image.hex     spikes of every image, each closed by END flits
// credit.hex    flits that allow the output cores one more image
// expected.hex  values of the output neurons, image by image
//
// +waves writes bench.vcd (Verilator: build with --trace).
`timescale 1ns/1ps
module bench;
//@PARAMETERS@

  localparam SPIKE = 0, END = 1, CREDIT = 2, PACE = 3;  // kinds of flit
  localparam PATIENCE = 100000;  // cycles without any flit: longer than any loop nest or update pass

  reg clk = 0, rst = 1;
  always #5 clk = ~clk;

  reg [WIDTH-1:0] config_flits [0:N_CONFIG-1];
  reg [WIDTH-1:0] image_flits [0:N_IMAGE_FLITS-1];
  reg [WIDTH-1:0] credit_flits [0:N_CREDIT_FLITS-1];
  reg [BITS-1:0] expected [0:N_IMAGES*NEURONS-1];
  reg [BITS-1:0] values [0:NEURONS-1];

  reg i_valid = 0;
  reg [WIDTH-1:0] i_payload = 0;
  wire i_ready, o_valid, quiet;
  wire [WIDTH-1:0] o_payload;
  chip dut (
    .clk(clk), .rst(rst), .quiet(quiet),
    .host_i_valid(i_valid), .host_i_payload(i_payload), .host_i_ready(i_ready),
    .host_o_valid(o_valid), .host_o_payload(o_payload), .host_o_ready(1'b1));

  integer cycle = 0;
  // What the host has sent, and may send.
  integer config_sent = 0, image_flits_sent = 0, parts_sent = 0, ends_sent = 0;
  integer credits_to_send = N_CREDIT_FLITS, credit_next = 0, credits_held = 0;
  reg under_way = 0;
  integer holding = 0;  // cores that asked to hold spikes for now
  // What has come out.
  integer image = 0, ends = 0, first_end = 0, last_end = 0, failures = 0;
  integer still = 0;
  integer node_sent [0:NODES-1], node_last [0:NODES-1];
  integer i;
  // +flits=FILE: a line for every flit that a core hands to its router or that comes out of the
  // chip: cycle, node or "host", flit.
  integer flits_file = 0;
  reg [8*256-1:0] flits_name;
  initial if ($value$plusargs("flits=%s", flits_name)) flits_file = $fopen(flits_name, "w");

  initial begin
    $readmemh("config.hex", config_flits);
    $readmemh("image.hex", image_flits);
    $readmemh("credit.hex", credit_flits);
    $readmemh("expected.hex", expected);
    for (i = 0; i < NEURONS; i = i + 1) values[i] = 0;
    for (i = 0; i < NODES; i = i + 1) begin
      node_sent[i] = 0;
      node_last[i] = 0;
    end
    if ($test$plusargs("waves")) begin
      $dumpfile("bench.vcd");
      $dumpvars(0, bench);
    end
    repeat (4) @(negedge clk);
    rst = 0;
  end

  function [31:0] field(input [WIDTH-1:0] flit, input integer at, input integer width);
    field = (flit >> at) & ((64'd1 << width) - 1);
  endfunction

  // A value of a layer that the host receives through an axon.
  function integer signed_value(input [BITS-1:0] value, input integer axon);
    signed_value = is_signed(axon) && value[bits(axon)-1]
                   ? $signed({1'b0, value}) - (1 << bits(axon)) : $signed({1'b0, value});
  endfunction

  // The axon of the layer that has value n of an image.
  function integer axon_of(input integer n);
    begin
      axon_of = 0;
      while (axon_of < OUTPUTS - 1 && n >= first_value(axon_of + 1)) axon_of = axon_of + 1;
    end
  endfunction

  task offer(input [WIDTH-1:0] flit);
    begin
      i_valid <= 1;
      i_payload <= flit;
    end
  endtask

  // Configuration first, then CREDITs, then images as far as the input's cores have granted CREDIT:
  // whole ones, or time step by time step.
  task choose;
    begin
      if (config_sent < N_CONFIG) begin
        offer(config_flits[config_sent]);
        config_sent = config_sent + 1;
      end else if (credits_to_send > 0) begin
        offer(credit_flits[credit_next]);
        credit_next = (credit_next + 1) % N_CREDIT_FLITS;
        credits_to_send = credits_to_send - 1;
      end else if (holding == 0
                   && (under_way || (parts_sent < N_IMAGES * INPUT_PARTS && credits_held >= INPUT_CREDITS))) begin
        if (!under_way) credits_held = credits_held - INPUT_CREDITS;
        under_way = 1;
        offer(image_flits[image_flits_sent]);
        if (field(image_flits[image_flits_sent], KIND_AT, KIND_WIDTH) == END)
          ends_sent = ends_sent + 1;
        image_flits_sent = image_flits_sent + 1;
        if (ends_sent == INPUT_ENDS) begin
          ends_sent = 0;
          parts_sent = parts_sent + 1;
          under_way = 0;
        end
      end else
        i_valid <= 0;
    end
  endtask

  task receive(input [WIDTH-1:0] flit);
    integer t, c, y, x, axon;
    begin
      case (field(flit, KIND_AT, KIND_WIDTH))
        SPIKE: begin
          t = field(flit, PAYLOAD_AT + T_AT, T_WIDTH);
          c = field(flit, PAYLOAD_AT + C_AT, C_WIDTH);
          y = field(flit, PAYLOAD_AT + Y_AT, Y_WIDTH);
          x = field(flit, PAYLOAD_AT + X_AT, X_WIDTH);
          axon = field(flit, PAYLOAD_AT + AXON_AT, AXON_WIDTH);
          if (axon >= OUTPUTS || t >= bits(axon) || c >= channels(axon) || y >= rows(axon)
              || x >= columns(axon)) begin
            if (failures == 0)
              $display("FAIL image %0d: no output neuron (axon %0d, channel %0d, row %0d, column %0d) fires at time step %0d",
                       image, axon, c, y, x, t);
            failures = failures + 1;
          end else
            values[first_value(axon) + (c * rows(axon) + y) * columns(axon) + x][bits(axon)-1-t] = 1'b1;
        end
        END: begin
          ends = ends + 1;
          if (ends % OUTPUT_ENDS == 0) credits_to_send = credits_to_send + N_CREDIT_FLITS;
          if (ends == OUTPUT_ENDS * OUTPUT_PARTS) begin
            ends = 0;
            compare;
          end
        end
        CREDIT: credits_held = credits_held + 1;
        PACE: holding = field(flit, PAYLOAD_AT + T_AT, 1) ? holding + 1 : holding - 1;
        default: begin
          $display("FAIL: the host must get spikes, END, CREDIT and PACE only, got a flit of kind %0d",
                   field(flit, KIND_AT, KIND_WIDTH));
          failures = failures + 1;
        end
      endcase
    end
  endtask

  task compare;
    integer n, wrong, first, axon, at;
    begin
      wrong = 0;
      first = 0;
      for (n = NEURONS - 1; n >= 0; n = n - 1)
        if (values[n] !== expected[image*NEURONS + n]) begin
          wrong = wrong + 1;
          first = n;
        end
      if (wrong == 0)
        $display("PASS image %0d: all %0d values as expected, cycle %0d", image, NEURONS, cycle);
      else begin
        axon = axon_of(first);
        at = first - first_value(axon);
        $display("FAIL image %0d: %0s, neuron (channel %0d, row %0d, column %0d): expected %0d, got %0d; %0d of %0d differ, cycle %0d",
                 image, output_name(axon), at / (rows(axon) * columns(axon)),
                 at / columns(axon) % rows(axon), at % columns(axon),
                 signed_value(expected[image*NEURONS + first], axon),
                 signed_value(values[first], axon), wrong, NEURONS, cycle);
      end
      if (wrong != 0) failures = failures + 1;
      for (n = 0; n < NEURONS; n = n + 1) values[n] = 0;
      if (image == 0) first_end = cycle;
      last_end = cycle;
      image = image + 1;
    end
  endtask

  task report;
    integer n;
    begin
      $display("  host: %0d of %0d configuration flits sent, %0d of %0d images sent%0s",
               config_sent, N_CONFIG, parts_sent / INPUT_PARTS, N_IMAGES,
               under_way || parts_sent % INPUT_PARTS != 0 ? ", one under way" : "");
      $display("  host: a flit %0s; %0d of %0d CREDITs for the next image; %0d of %0d ENDs of image %0d",
               i_valid ? "waits to be taken" : "is not offered", credits_held, INPUT_CREDITS, ends,
               OUTPUT_ENDS, image);
      for (n = 0; n < NODES; n = n + 1)
        $display("  node (%0d, %0d) %0s: %0s, %0d flits sent, the last in cycle %0d",
                 n % COLUMNS, n / COLUMNS + 1, layer_of(n), dut.quiets[n] ? "at rest" : "busy",
                 node_sent[n], node_last[n]);
    end
  endtask

  always @(posedge clk) begin
    cycle = cycle + 1;
    if (!rst) begin
      still = still + 1;
      if (o_valid) begin
        if (flits_file != 0) $fdisplay(flits_file, "%0d host %h", cycle, o_payload);
        receive(o_payload);
        still = 0;
      end
      if (i_valid && i_ready) still = 0;
      if (!i_valid || i_ready) choose;
      if (|dut.sent) begin
        still = 0;
        for (i = 0; i < NODES; i = i + 1)
          if (dut.sent[i]) begin
            node_sent[i] = node_sent[i] + 1;
            node_last[i] = cycle;
            if (flits_file != 0)
              $fdisplay(flits_file, "%0d %0d %h", cycle, i, dut.sent_flit[i*WIDTH +: WIDTH]);
          end
      end
      if (image == N_IMAGES) begin
        if (failures != 0) $fatal(1, "FAIL: %0d differences in %0d images", failures, N_IMAGES);
        $display("PASS: %0d images, the first after %0d cycles, then one every %0d",
                 N_IMAGES, first_end, N_IMAGES > 1 ? (last_end - first_end) / (N_IMAGES - 1) : 0);
        $finish;
      end
      if (still == PATIENCE || (still >= 100 && quiet && !i_valid)) begin
        $display("FAIL: %0d of %0d images have come out, and no flit has moved for %0d cycles",
                 image, N_IMAGES, still);
        report;
        $fatal(1, "FAIL: stands still in cycle %0d", cycle);
      end
    end
  end
endmodule
