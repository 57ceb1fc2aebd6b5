// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * farend: an SPI controller, two I2C adapters and a GPIO chip whose wires end in a program. The kernel's own spidev,
 * i2c-dev and GPIO character devices sit on top, as on a Raspberry Pi; at the far end of every wire is whoever has
 * opened /dev/farend. It reads what happens on the wires, in order, one record a read, and writes answers.
 *
 * A record, all numbers in the computer's byte order, nothing padded but what is shown:
 *
 *   u32 seq, u8 kind, u8 bus, u16 parts; then
 *   kind 0, an SPI message:      parts times { u32 hz, u32 len, u8 cs, u8 mode, u8 bits, u8 cs_change }, each followed
 *                                by the len bytes that are sent
 *   kind 1, an I2C transaction:  parts times { u16 address, u16 flags (I2C_M_...), u32 len }, each followed by the len
 *                                bytes that are sent, unless it is a read
 *   kind 2, levels of the pins:  u64 which are outputs, u64 which of them are high; always all of them. The first
 *                                record after opening is one of these, with seq 0, and wants no answer.
 *
 * An answer: u32 seq, s32 status (0 or a negative errno, which the caller is given); if 0, then also every byte that is
 * received, as many as were sent (SPI) or as are to be read (I2C), none for pins. Answers may come in any order.
 * Seq 0 answers nothing: status 0 and a u64 with the levels that the lines are driven to from outside.
 *
 * Nobody at the far end is nobody on the wires, at once and also in the middle of a transfer: SPI reads zeros, I2C is
 * not acknowledged. Somebody who does not answer holds a transfer until the bus's own time-out: on I2C the adapter's,
 * which I2C_TIMEOUT sets, on SPI what the kernel's drivers allow.
 */
#include <linux/bitops.h>
#include <linux/completion.h>
#include <linux/gpio/driver.h>
#include <linux/i2c.h>
#include <linux/irq.h>
#include <linux/irqdesc.h>
#include <linux/list.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/spi/spi.h>
#include <linux/uaccess.h>
#include <linux/version.h>
#include <linux/wait.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
#define devm_spi_alloc_host devm_spi_alloc_master
#define spi_get_chipselect(spi, index) ((spi)->chip_select)
#endif

/* What a Raspberry Pi calls its header's GPIO chip: pinctrl-bcm2711 on a 4, pinctrl-rp1 on a 5. */
static char *gpio_label = "pinctrl-bcm2711";
module_param(gpio_label, charp, 0444);

enum { LINES = 54, SPI_BUS = 0, CHIP_SELECTS = 2 };
/* Lamp, bubbler and clock on the first; HAT 3.3's EEPROM on the second. */
static const int i2c_buses[] = { 1, 9 };

struct record { u32 seq; u8 kind, bus; u16 parts; };
struct spi_part { u32 hz, len; u8 cs, mode, bits, cs_change; };
struct i2c_part { u16 address, flags; u32 len; };
struct levels { struct record head; u64 outputs, high; };
struct answer { u32 seq; s32 status; };
enum kind { SPI_MESSAGE, I2C_TRANSACTION, PIN_LEVELS };
/* An answer to the longest transaction of i2c-dev (42 messages of 8 KiB) fits. */
enum { LONGEST_ANSWER = SZ_512K };

/* Something that happens on a wire; lives on its caller's stack until it is answered or has waited long enough. */
struct exchange {
	struct list_head list;
	struct completion done;
	const void *sent;
	size_t sent_len;
	void *received;
	size_t received_len;
	u32 seq;
	int status;
};

/* Guards everything below; never held while anybody waits. */
static DEFINE_MUTEX(lock);
static DECLARE_WAIT_QUEUE_HEAD(something_happened);
/* Not yet read by the far end, and read but not answered. */
static LIST_HEAD(unread);
static LIST_HEAD(unanswered);
static bool opened, told_levels;
static u32 last_seq;
static u64 outputs, high, driven;

static void put(u8 **at, const void *bytes, size_t len)
{
	memcpy(*at, bytes, len);
	*at += len;
}

static void take(u8 **at, void *bytes, size_t len)
{
	memcpy(bytes, *at, len);
	*at += len;
}

static int happen(enum kind kind, int bus, int parts, void *sent, size_t sent_len, void *received,
		  size_t received_len, int if_nobody, unsigned long jiffies_at_most)
{
	struct exchange exchange = { .sent = sent, .sent_len = sent_len, .received = received,
				     .received_len = received_len, .status = if_nobody };

	init_completion(&exchange.done);
	mutex_lock(&lock);
	if (!opened) {
		mutex_unlock(&lock);
		return if_nobody;
	}
	if (++last_seq == 0)
		last_seq = 1;
	exchange.seq = last_seq;
	*(struct record *)sent = (struct record){ last_seq, kind, bus, parts };
	list_add_tail(&exchange.list, &unread);
	mutex_unlock(&lock);
	wake_up(&something_happened);

	wait_for_completion_timeout(&exchange.done, jiffies_at_most);
	mutex_lock(&lock);
	if (!list_empty(&exchange.list)) {
		list_del(&exchange.list);
		exchange.status = -ETIMEDOUT;
	}
	mutex_unlock(&lock);
	return exchange.status;
}

static void end(struct exchange *exchange)
{
	list_del_init(&exchange->list);
	complete(&exchange->done);
}

/* ---- /dev/farend ---- */

static int farend_open(struct inode *inode, struct file *file)
{
	int ret = 0;

	mutex_lock(&lock);
	if (opened)
		ret = -EBUSY;
	else
		opened = true, told_levels = false;
	mutex_unlock(&lock);
	return ret ?: nonseekable_open(inode, file);
}

static int farend_release(struct inode *inode, struct file *file)
{
	struct exchange *exchange, *next;

	mutex_lock(&lock);
	opened = false;
	list_splice_init(&unread, &unanswered);
	list_for_each_entry_safe(exchange, next, &unanswered, list)
		end(exchange);
	mutex_unlock(&lock);
	return 0;
}

static bool anything(void)
{
	return !READ_ONCE(told_levels) || !list_empty(&unread);
}

static ssize_t farend_read(struct file *file, char __user *to, size_t room, loff_t *offset)
{
	struct levels levels = { .head.kind = PIN_LEVELS };
	struct exchange *exchange;
	const void *record = &levels;
	ssize_t len = sizeof(levels);

	if (!(file->f_flags & O_NONBLOCK) && wait_event_interruptible(something_happened, anything()))
		return -ERESTARTSYS;
	mutex_lock(&lock);
	exchange = list_first_entry_or_null(&unread, struct exchange, list);
	if (!told_levels) {
		exchange = NULL;
		levels.outputs = outputs, levels.high = high;
	} else if (exchange) {
		record = exchange->sent, len = exchange->sent_len;
	} else {
		len = -EAGAIN;
	}
	if (len > 0 && (size_t)len > room)
		len = -EMSGSIZE;
	if (len > 0 && copy_to_user(to, record, len))
		len = -EFAULT;
	if (len > 0 && exchange)
		list_move_tail(&exchange->list, &unanswered);
	else if (len > 0)
		told_levels = true;
	mutex_unlock(&lock);
	return len;
}

static int drive(u64 levels);

static int answered(const struct answer *answer, size_t len)
{
	struct exchange *exchange;
	int ret = -ESTALE;

	mutex_lock(&lock);
	list_for_each_entry(exchange, &unanswered, list) {
		if (exchange->seq != answer->seq)
			continue;
		ret = -EINVAL;
		if (answer->status > 0 || len != (answer->status ? 0 : exchange->received_len))
			break;
		memcpy(exchange->received, answer + 1, len);
		exchange->status = answer->status;
		end(exchange);
		ret = 0;
		break;
	}
	mutex_unlock(&lock);
	return ret;
}

static ssize_t farend_write(struct file *file, const char __user *from, size_t len, loff_t *offset)
{
	struct answer *answer;
	u64 levels;
	int ret = -EINVAL;

	if (len < sizeof(*answer) || len > LONGEST_ANSWER)
		return -EINVAL;
	answer = memdup_user(from, len);
	if (IS_ERR(answer))
		return PTR_ERR(answer);
	if (answer->seq) {
		ret = answered(answer, len - sizeof(*answer));
	} else if (len == sizeof(*answer) + sizeof(levels)) {
		memcpy(&levels, answer + 1, sizeof(levels));
		ret = drive(levels);
	}
	kfree(answer);
	return ret ?: len;
}

static __poll_t farend_poll(struct file *file, poll_table *table)
{
	poll_wait(file, &something_happened, table);
	return EPOLLOUT | EPOLLWRNORM | (anything() ? EPOLLIN | EPOLLRDNORM : 0);
}

static const struct file_operations farend_operations = {
	.owner = THIS_MODULE,
	.open = farend_open,
	.release = farend_release,
	.read = farend_read,
	.write = farend_write,
	.poll = farend_poll,
};

static struct miscdevice farend_device = {
	.minor = MISC_DYNAMIC_MINOR, .name = "farend", .fops = &farend_operations,
};

/* ---- SPI ---- */

/* As the kernel's drivers: twice what the wire takes, and 200 ms. */
static unsigned long spi_patience(u64 bits, u32 hz)
{
	return msecs_to_jiffies(200 + div_u64(2 * 1000 * bits, max(hz, 1U)));
}

static int spi_message(struct spi_controller *controller, struct spi_message *message)
{
	struct spi_device *device = message->spi;
	struct spi_transfer *transfer;
	size_t sent_len = sizeof(struct record), received_len = 0, parts = 0;
	u32 slowest = U32_MAX;
	u8 *sent, *received, *at;
	int status = -ENOMEM;

	list_for_each_entry(transfer, &message->transfers, transfer_list) {
		sent_len += sizeof(struct spi_part) + transfer->len;
		received_len += transfer->len;
		slowest = min(slowest, transfer->speed_hz);
		parts++;
	}
	sent = kvzalloc(sent_len, GFP_KERNEL);
	received = kvzalloc(max(received_len, 1UL), GFP_KERNEL);
	if (!sent || !received)
		goto out;
	at = sent + sizeof(struct record);
	list_for_each_entry(transfer, &message->transfers, transfer_list) {
		struct spi_part part = {
			.hz = transfer->speed_hz, .len = transfer->len, .cs = spi_get_chipselect(device, 0),
			.mode = device->mode, .bits = transfer->bits_per_word, .cs_change = transfer->cs_change,
		};

		put(&at, &part, sizeof(part));
		if (transfer->tx_buf)
			put(&at, transfer->tx_buf, transfer->len);
		else
			at += transfer->len;
	}
	status = happen(SPI_MESSAGE, SPI_BUS, parts, sent, sent_len, received, received_len, 0,
			spi_patience(8 * received_len, slowest));
	if (status)
		goto out;
	at = received;
	list_for_each_entry(transfer, &message->transfers, transfer_list) {
		if (transfer->rx_buf)
			take(&at, transfer->rx_buf, transfer->len);
		else
			at += transfer->len;
	}
	message->actual_length = received_len;
out:
	kvfree(sent);
	kvfree(received);
	message->status = status;
	spi_finalize_current_message(controller);
	return status;
}

static int add_spi(struct device *parent)
{
	struct spi_controller *controller = devm_spi_alloc_host(parent, 0);
	/* The kernel binds spidev by the name of a real device only; this one has been in its table for ever. */
	struct spi_board_info device = { .modalias = "dh2228fv", .max_speed_hz = 125000000 };
	int ret;

	if (!controller)
		return -ENOMEM;
	controller->bus_num = SPI_BUS;
	controller->num_chipselect = CHIP_SELECTS;
	controller->mode_bits = SPI_CPOL | SPI_CPHA | SPI_CS_HIGH | SPI_NO_CS;
	controller->bits_per_word_mask = SPI_BPW_MASK(8);
	controller->transfer_one_message = spi_message;
	ret = devm_spi_register_controller(parent, controller);
	for (; !ret && device.chip_select < CHIP_SELECTS; device.chip_select++)
		if (!spi_new_device(controller, &device))
			ret = -ENODEV;
	return ret;
}

/* ---- I2C ---- */

static int i2c_transaction(struct i2c_adapter *adapter, struct i2c_msg *messages, int count)
{
	size_t sent_len = sizeof(struct record), received_len = 0;
	u8 *sent, *received, *at;
	int i, status = -ENOMEM;

	for (i = 0; i < count; i++) {
		sent_len += sizeof(struct i2c_part);
		*(messages[i].flags & I2C_M_RD ? &received_len : &sent_len) += messages[i].len;
	}
	sent = kvzalloc(sent_len, GFP_KERNEL);
	received = kvzalloc(max(received_len, 1UL), GFP_KERNEL);
	if (!sent || !received)
		goto out;
	at = sent + sizeof(struct record);
	for (i = 0; i < count; i++) {
		struct i2c_part part = { messages[i].addr, messages[i].flags, messages[i].len };

		put(&at, &part, sizeof(part));
		if (!(messages[i].flags & I2C_M_RD))
			put(&at, messages[i].buf, messages[i].len);
	}
	status = happen(I2C_TRANSACTION, adapter->nr, count, sent, sent_len, received, received_len, -EREMOTEIO,
			adapter->timeout);
	if (status)
		goto out;
	at = received;
	for (i = 0; i < count; i++)
		if (messages[i].flags & I2C_M_RD)
			take(&at, messages[i].buf, messages[i].len);
out:
	kvfree(sent);
	kvfree(received);
	return status ?: count;
}

static u32 i2c_functionality(struct i2c_adapter *adapter)
{
	return I2C_FUNC_I2C | I2C_FUNC_SMBUS_EMUL;
}

static const struct i2c_algorithm i2c_algorithm = {
	.master_xfer = i2c_transaction, .functionality = i2c_functionality,
};

static void remove_i2c(void *adapter)
{
	i2c_del_adapter(adapter);
}

static int add_i2c(struct device *parent, int bus)
{
	struct i2c_adapter *adapter = devm_kzalloc(parent, sizeof(*adapter), GFP_KERNEL);
	int ret;

	if (!adapter)
		return -ENOMEM;
	adapter->owner = THIS_MODULE;
	adapter->algo = &i2c_algorithm;
	adapter->nr = bus;
	adapter->dev.parent = parent;
	strscpy(adapter->name, "farend", sizeof(adapter->name));
	ret = i2c_add_numbered_adapter(adapter);
	return ret ?: devm_add_action_or_reset(parent, remove_i2c, adapter);
}

/* ---- GPIO ---- */

/* One change of a pin after the other. */
static DEFINE_MUTEX(pins);
static DECLARE_BITMAP(unmasked, LINES);
static DECLARE_BITMAP(rising, LINES);
static DECLARE_BITMAP(falling, LINES);

/* Returns when the far end has felt it, so that what follows on another wire follows there, too. */
static void change(unsigned int line, bool output, bool level)
{
	struct levels levels;

	mutex_lock(&pins);
	mutex_lock(&lock);
	outputs = output ? outputs | BIT_ULL(line) : outputs & ~BIT_ULL(line);
	high = output && level ? high | BIT_ULL(line) : high & ~BIT_ULL(line);
	levels.outputs = outputs, levels.high = high;
	mutex_unlock(&lock);
	happen(PIN_LEVELS, 0, 0, &levels, sizeof(levels), NULL, 0, 0, HZ);
	mutex_unlock(&pins);
}

static int line_direction(struct gpio_chip *chip, unsigned int line)
{
	return outputs & BIT_ULL(line) ? GPIO_LINE_DIRECTION_OUT : GPIO_LINE_DIRECTION_IN;
}

static int line_input(struct gpio_chip *chip, unsigned int line)
{
	change(line, false, false);
	return 0;
}

static int line_output(struct gpio_chip *chip, unsigned int line, int level)
{
	change(line, true, level);
	return 0;
}

static int line_get(struct gpio_chip *chip, unsigned int line)
{
	return !!((outputs & BIT_ULL(line) ? high : driven) & BIT_ULL(line));
}

static void line_set(struct gpio_chip *chip, unsigned int line, int level)
{
	change(line, true, level);
}

static void edge_mask(struct irq_data *data)
{
	clear_bit(irqd_to_hwirq(data), unmasked);
	gpiochip_disable_irq(irq_data_get_irq_chip_data(data), irqd_to_hwirq(data));
}

static void edge_unmask(struct irq_data *data)
{
	gpiochip_enable_irq(irq_data_get_irq_chip_data(data), irqd_to_hwirq(data));
	set_bit(irqd_to_hwirq(data), unmasked);
}

static int edge_set_type(struct irq_data *data, unsigned int type)
{
	if (type & ~IRQ_TYPE_EDGE_BOTH)
		return -EINVAL;
	assign_bit(irqd_to_hwirq(data), rising, type & IRQ_TYPE_EDGE_RISING);
	assign_bit(irqd_to_hwirq(data), falling, type & IRQ_TYPE_EDGE_FALLING);
	return 0;
}

static const struct irq_chip edges = {
	.name = "farend",
	.irq_mask = edge_mask,
	.irq_unmask = edge_unmask,
	.irq_set_type = edge_set_type,
	.flags = IRQCHIP_IMMUTABLE,
	GPIOCHIP_IRQ_RESOURCE_HELPERS,
};

static struct gpio_chip chip = {
	.owner = THIS_MODULE,
	.base = -1,
	.ngpio = LINES,
	.can_sleep = true,
	.get_direction = line_direction,
	.direction_input = line_input,
	.direction_output = line_output,
	.get = line_get,
	.set = line_set,
};

static int drive(u64 levels)
{
	unsigned long changed;
	unsigned int line;

	if (levels >> LINES)
		return -EINVAL;
	mutex_lock(&lock);
	changed = driven ^ levels;
	driven = levels;
	mutex_unlock(&lock);
	for_each_set_bit(line, &changed, LINES)
		if (test_bit(line, unmasked) && test_bit(line, levels & BIT_ULL(line) ? rising : falling))
			generic_handle_domain_irq_safe(chip.irq.domain, line);
	return 0;
}

static int add_gpio(struct device *parent)
{
	chip.label = gpio_label;
	chip.parent = parent;
	gpio_irq_chip_set_chip(&chip.irq, &edges);
	chip.irq.handler = handle_simple_irq;
	chip.irq.default_type = IRQ_TYPE_NONE;
	return devm_gpiochip_add_data(parent, &chip, NULL);
}

/* ---- all of it ---- */

static void remove_device(void *device)
{
	misc_deregister(device);
}

static int farend_probe(struct platform_device *platform)
{
	struct device *parent = &platform->dev;
	int i, ret = misc_register(&farend_device);

	ret = ret ?: devm_add_action_or_reset(parent, remove_device, &farend_device);
	ret = ret ?: add_gpio(parent);
	ret = ret ?: add_spi(parent);
	for (i = 0; !ret && i < ARRAY_SIZE(i2c_buses); i++)
		ret = add_i2c(parent, i2c_buses[i]);
	return ret;
}

static struct platform_driver driver = { .driver.name = "farend" };
static struct platform_device *platform;

static int __init farend_init(void)
{
	platform = platform_create_bundle(&driver, farend_probe, NULL, 0, NULL, 0);
	return PTR_ERR_OR_ZERO(platform);
}

static void __exit farend_exit(void)
{
	platform_device_unregister(platform);
	platform_driver_unregister(&driver);
}

module_init(farend_init);
module_exit(farend_exit);
MODULE_DESCRIPTION("SPI, I2C and GPIO whose far end is a program");
MODULE_LICENSE("Dual MIT/GPL");
