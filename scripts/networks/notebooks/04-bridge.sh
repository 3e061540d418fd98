ip link add br0 type bridge && ip link set br0 up
for pair in 1:2 2:3 3:5; do
    n=${pair%:*}
    ip netns add net$n
    ip -n net$n link set lo up
    ip link add p$n type veth peer name eth0 address 02:00:00:00:00:0$n netns net$n
    ip link set p$n master br0 up
    ip -n net$n address add 10.1.1.${pair#*:}/24 dev eth0
    ip -n net$n link set eth0 up
done
